"""The local engine: the embedded broker, durable, started by whoever needs it first.

What lives here: its driver. What must not: the course of a soak.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from seaway.conf import place
from seaway.layers.local.launch import ensure_broker
from seaway.layers.local.place import Durable, find_place, lock_of
from soak.cable import Cable
from soak.drivers.base import Fault
from soak.network import Network, Way

#: Seconds within which somebody misses a killed broker and has started another.
_PATIENCE = 30.0


class LocalDriver:
    """The folder holds the broker's place, and two more in which cables listen for it."""

    def __init__(self, folder: Path, seconds: float, network: Network) -> None:
        del network  # it is reached by a path
        self.url = f"local://{folder}?durable=1"
        self.server_url = f"local://{folder / 's'}?durable=1"
        self.publisher_url = f"local://{folder / 'p'}?durable=1"
        self.ways: Mapping[str, Sequence[Way]] = {}
        self._cables: list[Cable] = []
        self._killed = 0
        self.faults: Mapping[str, Fault] = {"kill": self._kill, "pause": self._pause}
        self._folder = folder
        self._seconds = seconds

    async def start(self) -> None:
        # The namespace that the server's settings and the children's arguments lead to.
        broker = find_place(place(), self._folder)
        ensure_broker(broker, durable=Durable.PROCESS)
        self._broker = broker.socket
        ways = {}
        for name in ("server", "publisher"):
            entrance = find_place(place(), self._folder / name[0])
            entrance.prepare()
            cable = Cable(broker.socket)
            await cable.start(entrance.socket)
            self._cables.append(cable)
            ways[name] = [cable]
        self.ways = ways

    async def stop(self) -> None:
        """It ends by itself, later than we would like to wait."""
        for cable in self._cables:
            await cable.close()
        with contextlib.suppress(OSError, ValueError):
            os.kill(self._signed(), signal.SIGTERM)

    def _signed(self) -> int:
        return int(lock_of(self._broker).read_text())

    async def _pid(self) -> int:
        """The broker's, when it has signed: its dead predecessor's name stands there until then."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                with contextlib.suppress(ValueError):
                    if (pid := self._signed()) != self._killed:
                        return pid
                await asyncio.sleep(0.01)

    async def _kill(self) -> None:
        self._killed = await self._pid()
        os.kill(self._killed, signal.SIGKILL)

    async def _pause(self) -> None:
        pid = await self._pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(self._seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
