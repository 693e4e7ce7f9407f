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

from soak.drivers.base import Fault, pause
from soak.drivers.single import SingleDriver
from soak.network import Network, Way

_OPTIONS = "?max_events=30000"


class NatsDriver(SingleDriver):
    """One server."""

    def __init__(self, folder: Path, seconds: float, network: Network) -> None:
        server = Nats(folder / "n", host=network.host)
        url = f"{server.url}{_OPTIONS}"
        super().__init__(server.server, url, server.host, server.port, seconds, network)


class NatsClusterDriver:
    """One node after the other killed and started anew, or stopped for a while."""

    def __init__(self, folder: Path, seconds: float, network: Network) -> None:
        self._cluster = NatsCluster(folder / "n", host=network.host)
        self._seconds = seconds
        self._network = network
        self._victims = itertools.cycle(self._cluster.nodes)
        url = f"{self._cluster.url}{_OPTIONS}"
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
        await pause(victim.server, self._seconds)
