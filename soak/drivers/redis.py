"""One Valkey with an append-only file.

What lives here: its driver. What must not: the course of a soak.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.valkey import Valkey

from soak.drivers.base import Fault
from soak.network import Network, Way


class RedisDriver:
    """Killed and started anew, stopped for a while, and its memory full for a while."""

    def __init__(self, folder: Path, seconds: float, network: Network) -> None:
        # Everything that was answered is in the file: what a queue has taken is not lost.
        options = ("--appendonly", "yes", "--appendfsync", "always")
        self._server = Valkey(folder / "v", *options, host=network.host)
        self._seconds = seconds
        self._network = network
        self.url = self.server_url = self.publisher_url = self._server.url
        self.ways: Mapping[str, Sequence[Way]] = {}
        self.faults: Mapping[str, Fault] = {
            "kill": self._kill,
            "pause": self._pause,
            "full": self._full,
        }

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)
        server, publisher = await self._network.reach(self._server.port)
        self.ways = self._network.ways
        self.server_url, self.publisher_url = f"redis://{server}", f"redis://{publisher}"

    async def stop(self) -> None:
        self._server.kill()

    async def _kill(self) -> None:
        self._server.kill()
        await asyncio.sleep(0.5)
        await asyncio.to_thread(self._server.server.start)

    async def _pause(self) -> None:
        self._server.server.pause()
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self._server.server.resume()

    async def _full(self) -> None:
        await fill(self._server, min(self._seconds, 3.0))


async def fill(server: Valkey, seconds: float) -> None:
    """Let a server have less memory than it uses, for so long."""
    await asyncio.to_thread(server.ask, "CONFIG", "SET", "maxmemory", 1_000_000)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(server.ask, "CONFIG", "SET", "maxmemory", 0)
