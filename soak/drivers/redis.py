"""One Valkey with an append-only file.

What lives here: its driver. What must not: the course of a soak.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.servers.valkey import Valkey

from soak.drivers.single import SingleDriver
from soak.network import Network


class RedisDriver(SingleDriver):
    """One server, whose memory can also be full for a while."""

    def __init__(self, folder: Path, seconds: float, network: Network) -> None:
        # Everything that was answered is in the file: what a queue has taken is not lost.
        options = ("--appendonly", "yes", "--appendfsync", "always")
        self._server = server = Valkey(folder / "v", *options, host=network.host)
        super().__init__(server.server, server.url, server.host, server.port, seconds, network)
        self.faults = {**self.faults, "full": self._full}

    async def _full(self) -> None:
        await fill(self._server, min(self._seconds, 3.0))


async def fill(server: Valkey, seconds: float) -> None:
    """Let a server have less memory than it uses, for so long."""
    await asyncio.to_thread(server.ask, "CONFIG", "SET", "maxmemory", 1_000_000)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(server.ask, "CONFIG", "SET", "maxmemory", 0)
