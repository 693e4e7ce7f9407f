"""What an engine under test offers to a soak.

What lives here: `Driver`, and what several of them do in the same way.
What must not: an engine.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from soak.cable import Cable

#: What is done to an engine; returns when it is done, not when all have recovered.
Fault = Callable[[], Awaitable[None]]


class Driver(Protocol):
    """An engine under test.

    :ivar url: the layer's address for workers and most publishers.
    :ivar server_url: the server's, and ``publisher_url`` one publisher's: by cables, where the
        engine's clients keep to the address that they are given.
    :ivar cables: by whom they cut off, those to be cut together.
    """

    url: str
    server_url: str
    publisher_url: str
    cables: Mapping[str, Sequence[Cable]]
    faults: Mapping[str, Fault]

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


async def pause(pid: int, seconds: float) -> None:
    """SIGSTOP a process and let it go on after so many seconds."""
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


async def cables_to(port: int) -> dict[str, list[Cable]]:
    """A cable for the server and one for a publisher, to a port of 127.0.0.1."""
    cables = {"server": [Cable(("127.0.0.1", port))], "publisher": [Cable(("127.0.0.1", port))]}
    for [cable] in cables.values():
        await cable.start()
    return cables
