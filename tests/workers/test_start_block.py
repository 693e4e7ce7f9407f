"""What a worker says when it starts."""

from __future__ import annotations

import os

from seaway.workers.start_block import Work, start_block


def test_what_it_works_on_stands_in_columns() -> None:
    work = [
        Work("tasks", "default", "@task functions", "up to 4 at a time"),
        Work("channel", "photos", "shop.channels.print_photo", "up to 1 at a time"),
        Work("channel", "mails", "shop.channels.send", "up to 12 at a time"),
    ]
    assert start_block("memory", work, 1.5).splitlines() == [
        f"Seaway worker, pid {os.getpid()}",
        "  layer    memory",
        "  channel  mails    shop.channels.send         up to 12 at a time",
        "  channel  photos   shop.channels.print_photo  up to 1 at a time",
        "  tasks    default  @task functions            up to 4 at a time",
        "Waiting for work. Ctrl+C stops it. What is running then has 1.5 s to end.",
    ]


def test_lines_end_where_their_words_do() -> None:
    lines = start_block("memory", [Work("channel", "c", "app.Consumer")], 30).splitlines()
    assert lines[2] == "  channel  c  app.Consumer"
