"""What an engine under test offers to a soak.

What lives here: `Driver`, and what several of them do in the same way.
What must not: an engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from soak.network import Way

#: What is done to an engine; returns when it is done, not when all have recovered.
Fault = Callable[[], Awaitable[None]]


class Driver(Protocol):
    """An engine under test.

    :ivar url: the layer's address for workers and most publishers.
    :ivar server_url: the server's, and ``publisher_url`` one publisher's: by the network's ways.
    :ivar ways: what can be cut, by whom it cuts off; those to be cut together.
    """

    url: str
    server_url: str
    publisher_url: str
    ways: Mapping[str, Sequence[Way]]
    faults: Mapping[str, Fault]

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Pausable(Protocol):
    """A server that can be let hang."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...


async def pause(server: Pausable, seconds: float) -> None:
    """Stop a server's processes and let them go on after so many seconds."""
    server.pause()
    try:
        await asyncio.sleep(seconds)
    finally:
        server.resume()
