"""The engines that can be soaked, and what can be done to each.

What lives here: one driver for each engine: its address, and its faults by name.
What must not: the order in which faults happen (`engine`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import struct
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tests.servers.nats import Nats

#: What is done to an engine; returns when it is done, not when all have recovered.
Fault = Callable[[], Awaitable[None]]


class Driver(Protocol):
    """An engine under test."""

    #: The layer's address for the server, publishers and workers.
    url: str
    faults: Mapping[str, Fault]

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class LocalDriver:
    """The embedded broker, durable, which is started by whoever needs it first."""

    def __init__(self, folder: Path, pause: float) -> None:
        self.url = f"local://{folder}"
        self.faults: Mapping[str, Fault] = {"kill": self._kill, "pause": self._pause}
        self._folder = folder
        self._seconds = pause

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """It ends by itself, later than we would like to wait."""
        with contextlib.suppress(OSError):
            os.kill(self._pid(), signal.SIGTERM)

    def _pid(self) -> int:
        """The process at the other end of the socket (unix(7), SO_PEERCRED)."""
        for path in self._folder.rglob("*.sock"):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))
                size = struct.calcsize("3i")
                credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
                return int(struct.unpack("3i", credentials)[0])
        raise ProcessLookupError("no broker is listening")

    async def _kill(self) -> None:
        os.kill(self._pid(), signal.SIGKILL)

    async def _pause(self) -> None:
        await pause(self._pid(), self._seconds)


class PostgresDriver:
    """A PostgreSQL server: killed as a whole, stopped, and its connections ended from within."""

    def __init__(self, folder: Path, pause: float) -> None:
        # Here, since the other engines do not need the package.
        from tests.servers.postgres import PostgresServer

        # Beside the folder, which is closed to the user that the server runs as under root.
        self._directory = Path(tempfile.mkdtemp(prefix="soak-postgres-"))
        self._server = PostgresServer(self._directory)
        self.url = self._server.url()
        self.faults: Mapping[str, Fault] = {
            "kill": self._kill,
            "pause": self._pause,
            "terminate": self._terminate,
        }
        self._seconds = pause

    async def start(self) -> None:
        # Not in a thread: the server ends with the thread that started it.
        self._server.start()

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.stop)
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _kill(self) -> None:
        self._server.kill()
        self._server.start()

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


class NatsDriver:
    """A cluster of three NATS servers; each fault is done to another one of them in turn."""

    def __init__(self, folder: Path, pause: float) -> None:
        from tests.servers.nats import NatsCluster

        self._servers = NatsCluster(folder)
        self.url = f"{self._servers.url}?timeout=15"
        self.faults: Mapping[str, Fault] = {"kill": self._kill, "pause": self._pause}
        self._seconds = pause
        self._turn = 0

    async def start(self) -> None:
        # Not in a thread: the servers end with the thread that started them.
        self._servers.start()

    async def stop(self) -> None:
        await asyncio.to_thread(self._servers.kill)

    def _next(self) -> Nats:
        self._turn += 1
        return self._servers.nodes[self._turn % len(self._servers.nodes)]

    async def _kill(self) -> None:
        node = self._next()
        node.kill()
        node.server.launch()
        while not await asyncio.to_thread(node.serves):
            await asyncio.sleep(0.1)

    async def _pause(self) -> None:
        node = self._next()
        node.server.pause()
        try:
            await asyncio.sleep(self._seconds)
        finally:
            node.server.resume()


async def pause(pid: int, seconds: float) -> None:
    """SIGSTOP a process and let it go on after so many seconds."""
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        os.kill(pid, signal.SIGCONT)


#: Engine → its driver, made from a folder of its own and the seconds that a pause lasts.
DRIVERS: Mapping[str, Callable[[Path, float], Driver]] = {
    "local": LocalDriver,
    "nats": NatsDriver,
    "postgres": PostgresDriver,
}
