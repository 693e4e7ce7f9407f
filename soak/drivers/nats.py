"""NATS with JetStream in files: one server, and a cluster of three.

What lives here: their drivers. What must not: the course of a soak.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.nats import Nats, NatsCluster
from tests.waiting import wait_for

from soak.drivers.base import Fault
from soak.network import Network, Way


class NatsDriver:
    """Killed and started anew, and stopped for a while."""

    def __init__(self, folder: Path, seconds: float, network: Network) -> None:
        self._server = Nats(folder / "n", host=network.host)
        self._seconds = seconds
        self._network = network
        self._options = "?max_events=30000"
        self.url = self.server_url = self.publisher_url = self._server.url + self._options
        self.ways: Mapping[str, Sequence[Way]] = {}
        self.faults: Mapping[str, Fault] = {"kill": self._kill, "pause": self._pause}

    async def start(self) -> None:
        await asyncio.to_thread(self._server.start)
        server, publisher = await self._network.reach(self._server.port)
        self.ways = self._network.ways
        self.server_url = f"nats://{server}{self._options}"
        self.publisher_url = f"nats://{publisher}{self._options}"

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


class NatsClusterDriver:
    """One node after the other killed and started anew, or stopped for a while."""

    def __init__(self, folder: Path, seconds: float, network: Network) -> None:
        self._cluster = NatsCluster(folder / "n", host=network.host)
        self._seconds = seconds
        self._network = network
        self._victims = itertools.cycle(self._cluster.nodes)
        url = f"{self._cluster.url}?max_events=30000"
        self.url = self.server_url = self.publisher_url = url
        self.ways: Mapping[str, Sequence[Way]] = {}
        self.faults: Mapping[str, Fault] = {"kill": self._kill, "pause": self._pause}

    async def start(self) -> None:
        await asyncio.to_thread(self._cluster.start)
        await self._network.reach(None)
        self.ways = self._network.ways

    async def stop(self) -> None:
        self._cluster.kill()

    async def _victim(self) -> Nats:
        await asyncio.to_thread(wait_for, self._cluster.whole, "the cluster to be whole", 60)
        return next(self._victims)

    async def _kill(self) -> None:
        victim = await self._victim()
        victim.kill()
        await asyncio.sleep(3)
        victim.server.launch()

    async def _pause(self) -> None:
        victim = await self._victim()
        victim.server.pause()
        try:
            await asyncio.sleep(self._seconds)
        finally:
            victim.server.resume()
