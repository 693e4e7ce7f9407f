"""``python -m benchmarks.engines.child ROLE KIND URL``: one process of an engine's benchmark.

What lives here: the process: lines of JSON in, one line of JSON out for each.
What must not: what a role does; that is `parties`, `crowds` and `chores`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from importlib import import_module
from typing import Any, Protocol

import msgspec
import uvloop

#: Role → the module whose ``make(kind, url)`` gives what plays it.
ROLES = {
    "listener": "benchmarks.engines.parties",
    "speaker": "benchmarks.engines.parties",
    "members": "benchmarks.engines.crowds",
    "doer": "benchmarks.engines.chores",
}


class Player(Protocol):
    """What plays a role. Orders are called by their names; none starts with an underscore."""

    async def start(self) -> None: ...


async def _play(player: Player) -> None:
    await player.start()
    _say({"pid": os.getpid()})
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        name, *arguments = msgspec.json.decode(line)
        answer = await getattr(player, name)(*arguments)
        _say(answer)


def _say(answer: dict[str, Any] | None) -> None:
    os.write(1, msgspec.json.encode({"cpu": time.process_time(), **(answer or {})}) + b"\n")


def main() -> None:
    role, kind, url = sys.argv[1:]
    make = import_module(ROLES[role]).make
    asyncio.Runner(loop_factory=uvloop.new_event_loop).run(_play(make(kind, url)))


if __name__ == "__main__":
    main()
