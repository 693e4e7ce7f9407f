"""``manage.py channels`` in this process: what it asks before removing, and what it shows."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command

from seaway import channel
from seaway.conf import close_layer_home, layer_home
from seaway.layers.queues import QueueState

pytestmark = pytest.mark.usefixtures("own_layer")


@pytest.fixture
def own_layer() -> Iterator[None]:
    yield
    close_layer_home()


def send(data: bytes) -> None:
    layer_home().run(lambda layer: layer.send("mails", data))


def bury(data: bytes, reason: str) -> None:
    send(data)
    [delivery] = layer_home().run(lambda layer: layer.receive("mails"))
    layer_home().run(lambda layer: layer.nack(delivery, dead=True, reason=reason))


def state() -> QueueState:
    return layer_home().run(lambda layer: layer.queue_state("mails"))


def says(*arguments: str) -> str:
    out = io.StringIO()
    call_command("channels", "mails", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def full() -> None:
    bury(b"1", "no")
    bury(b"2", "no")
    send(b"3")


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("action", ["purge", "discard"])
def test_removing_everything_asks_first(action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answers = ["yes", "Yes please", "", "no"]

    def answer(question: str) -> str:
        asked.append(question)
        return answers.pop()

    monkeypatch.setattr("builtins.input", answer)
    for _ in range(3):
        with pytest.raises(CommandError, match=r"Nothing was removed\."):
            says(f"--{action}")
    assert state() == QueueState(waiting=1, dead=2)
    what = {"purge": "1 message removed", "discard": "2 dead letters removed"}
    assert says(f"--{action}") == what[action] + ".\n"
    assert len(asked) == 4
    what = {"purge": "1 message, 0 of them in workers' hands, of", "discard": "2 dead letters of"}
    assert asked[0].startswith(what[action] + " mails will be gone for good.")
    assert state() == (QueueState(dead=2) if action == "purge" else QueueState(waiting=1))


@pytest.mark.usefixtures("full")
def test_where_nobody_can_be_asked_nothing_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CommandError, match="Say --noinput"):
        says("--purge")
    assert state() == QueueState(waiting=1, dead=2)


def test_removing_what_was_named_or_nothing_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert says("--purge") == "0 messages removed.\n"
    bury(b"1", "no")
    [letter] = layer_home().run(lambda layer: layer.dead_letters("mails"))
    assert says("--discard", f"--id={letter.id}") == "1 dead letter removed.\n"
    assert channel("mails").take() is None


def test_a_message_cannot_write_to_the_terminal() -> None:
    bury(b'"\x1b[2Jcleared"', "\x1b]0;title\x07")
    shown = says()
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "\\x1b[2Jcleared" in shown


def test_one_is_shown_in_full() -> None:
    bury(b"9" * 1000, "long")
    assert "9" * 200 + "… (1,000 bytes)" in says()
    [letter] = layer_home().run(lambda layer: layer.dead_letters("mails"))
    assert "9" * 1000 + "\n" in says(f"--id={letter.id}")
