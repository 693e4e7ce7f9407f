"""An engine that is one server.

What lives here: what is the same for all of them. What must not: an engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from soak.drivers.base import Fault, Pausable, pause
from soak.network import Network, Way


class Process(Pausable, Protocol):
    """The server itself."""

    def start(self) -> None: ...

    def kill(self) -> None: ...


class SingleDriver:
    """Killed and started anew, and stopped for a while."""

    def __init__(
        self, process: Process, url: str, host: str, port: int, seconds: float, network: Network
    ) -> None:
        """:param url: the layer's address, in which ``host`` and ``port`` are the server's."""
        self._process = process
        self._here = f"{host}:{port}"
        self._port = port
        self._seconds = seconds
        self._network = network
        self.url = self.server_url = self.publisher_url = url
        self.ways: Mapping[str, Sequence[Way]] = {}
        self.faults: Mapping[str, Fault] = {"kill": self._kill, "pause": self._pause}

    async def start(self) -> None:
        await asyncio.to_thread(self._process.start)
        server, publisher = await self._network.reach(self._port)
        self.ways = self._network.ways
        self.server_url = self.url.replace(self._here, server)
        self.publisher_url = self.url.replace(self._here, publisher)

    async def stop(self) -> None:
        await asyncio.to_thread(self._process.kill)

    async def _kill(self) -> None:
        await asyncio.to_thread(self._process.kill)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(self._process.start)

    async def _pause(self) -> None:
        await pause(self._process, self._seconds)
