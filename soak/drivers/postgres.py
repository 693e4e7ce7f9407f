"""A PostgreSQL server.

What lives here: its driver. What must not: the course of a soak.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.postgres import PostgresServer

from soak.drivers.base import Fault
from soak.network import Network, Way


class PostgresDriver:
    """Killed and started anew, stopped for a while, and its connections ended from within."""

    def __init__(self, folder: Path, seconds: float, network: Network) -> None:
        # Not in ``folder``, which the server's own user cannot enter.
        self._folder = Path(tempfile.mkdtemp(prefix="soak-pg-"))
        self._server = PostgresServer(self._folder, host=network.host)
        self._seconds = seconds
        self._network = network
        self.url = self.server_url = self.publisher_url = self._server.url()
        self.ways: Mapping[str, Sequence[Way]] = {}
        self.faults: Mapping[str, Fault] = {
            "kill": self._kill,
            "pause": self._pause,
            "terminate": self._terminate,
        }

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)
        server, publisher = await self._network.reach(self._server.port)
        self.ways = self._network.ways
        ours = f"{self._server.host}:{self._server.port}"
        self.server_url = self.url.replace(ours, server)
        self.publisher_url = self.url.replace(ours, publisher)

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.stop)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _kill(self) -> None:
        await asyncio.to_thread(self._server.kill)
        await asyncio.sleep(0.5)
        await asyncio.to_thread(self._server.start)

    async def _pause(self) -> None:
        self._server.pause()
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self._server.resume()

    async def _terminate(self) -> None:
        await asyncio.to_thread(
            self._server.run,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'seaway%'",
        )
