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

from soak.cable import Cable
from soak.drivers.base import Fault, cables_to


class PostgresDriver:
    """Killed and started anew, stopped for a while, and its connections ended from within."""

    def __init__(self, folder: Path, seconds: float) -> None:
        # Not in ``folder``, which the server's own user cannot enter.
        self._folder = Path(tempfile.mkdtemp(prefix="soak-pg-"))
        self._server = PostgresServer(self._folder)
        self._seconds = seconds
        self.url = self.server_url = self.publisher_url = self._server.url()
        self.cables: Mapping[str, Sequence[Cable]] = {}
        self.faults: Mapping[str, Fault] = {
            "kill": self._kill,
            "pause": self._pause,
            "terminate": self._terminate,
        }

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)
        self.cables = cables = await cables_to(self._server.port)
        ours = f":{self._server.port}/"
        self.server_url = self.url.replace(ours, f":{cables['server'][0].port}/")
        self.publisher_url = self.url.replace(ours, f":{cables['publisher'][0].port}/")

    async def stop(self) -> None:
        for [cable] in self.cables.values():
            await cable.close()
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
