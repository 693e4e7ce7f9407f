"""What a worker says when it starts, to the person who started it.

What lives here: `start_block`, the same for handlers, tasks and consumers.
What must not: what any of them are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple


class Work(NamedTuple):
    """One line: what kind of thing it takes, the name of it, what is run, and how much at once."""

    kind: str
    name: str
    what: str
    how: str = ""


def start_block(layer: str, work: Iterable[Work], grace: float) -> str:
    """Says what the worker works on, where that comes from, and how to stop it.

    :param grace: seconds that what is running gets to end.
    """
    rows = sorted(work)
    kind, name, what = (max([len(row[column]) for row in rows], default=0) for column in range(3))
    kind = max(kind, len("layer"))
    lines = [f"Seaway worker, pid {os.getpid()}", f"  {'layer':<{kind}}  {layer}"]
    lines += [
        f"  {row.kind:<{kind}}  {row.name:<{name}}  {row.what:<{what}}  {row.how}".rstrip()
        for row in rows
    ]
    end = f"Waiting for work. Ctrl+C stops it. What is running then has {grace:g} s to end."
    return "\n".join([*lines, end])
