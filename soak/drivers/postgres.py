"""A PostgreSQL server.

What lives here: its driver. What must not: the course of a soak.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from tests.servers.postgres import PostgresServer

from soak.drivers.single import SingleDriver
from soak.network import Network


class PostgresDriver(SingleDriver):
    """One server, whose connections can also be ended from within."""

    def __init__(self, folder: Path, seconds: float, network: Network) -> None:
        del folder  # the server's own user cannot enter it
        self._folder = Path(tempfile.mkdtemp(prefix="soak-pg-"))
        self._server = server = PostgresServer(self._folder, host=network.host)
        super().__init__(server, server.url(), server.host, server.port, seconds, network)
        self.faults = {**self.faults, "terminate": self._terminate}

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.stop)
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _terminate(self) -> None:
        await asyncio.to_thread(
            self._server.run,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'seaway%'",
        )
