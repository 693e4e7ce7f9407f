"""One Valkey with an append-only file.

What lives here: its driver. What must not: the course of a soak.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.valkey import Valkey

from soak.cable import Cable
from soak.drivers.base import Fault, cables_to


class RedisDriver:
    """Killed and started anew, stopped for a while, and its memory full for a while."""

    def __init__(self, folder: Path, seconds: float) -> None:
        # Everything that was answered is in the file: what a queue has taken is not lost.
        self._server = Valkey(folder / "v", "--appendonly", "yes", "--appendfsync", "always")
        self._seconds = seconds
        self.url = self.server_url = self.publisher_url = self._server.url
        self.cables: Mapping[str, Sequence[Cable]] = {}
        self.faults: Mapping[str, Fault] = {
            "kill": self._kill,
            "pause": self._pause,
            "full": self._full,
        }

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)
        self.cables = cables = await cables_to(self._server.port)
        self.server_url = f"redis://127.0.0.1:{cables['server'][0].port}"
        self.publisher_url = f"redis://127.0.0.1:{cables['publisher'][0].port}"

    async def stop(self) -> None:
        for [cable] in self.cables.values():
            await cable.close()
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
