"""A Valkey Cluster: three masters, each with a replica.

What lives here: its driver. What must not: the course of a soak.

Its clients learn the nodes' addresses from the cluster, so a cable leads to each node, and what is
cut off is a node, for all clients.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.valkey import Valkey, ValkeyCluster
from tests.waiting import wait_for

from soak.cable import Cable
from soak.drivers.base import Fault, pause
from soak.drivers.redis import fill
from soak.network import Network, Way


class ClusterDriver:
    """A master killed, stopped, cut off, demoted in order, and its memory full."""

    def __init__(self, folder: Path, seconds: float, network: Network) -> None:
        self._cluster = ValkeyCluster(folder / "c", host=network.host)
        self._network = network
        for node in self._cluster.nodes:
            node.server.command += ["--appendonly", "yes", "--appendfsync", "always"]
        self._seconds = seconds
        self.url = self.server_url = self.publisher_url = ""
        self.ways: Mapping[str, Sequence[Way]] = {}
        self._all: list[Cable] = []
        self.faults: Mapping[str, Fault] = {
            "kill": self._kill,
            "pause": self._pause,
            "failover": self._fail_over,
            "full": self._full,
        }

    async def start(self) -> None:
        await asyncio.to_thread(self._cluster.start)
        host = self._network.host
        for node in self._cluster.nodes:
            cable = Cable((host, node.port))
            await cable.start()
            self._all.append(cable)
            # Announced to clients; the nodes themselves go on to know each other directly.
            answer = await asyncio.to_thread(
                node.ask, "CONFIG", "SET", "cluster-announce-client-port", cable.port
            )
            assert answer == b"OK", answer  # noqa: S101 - the engine's own answer
        await self._network.reach(None)
        self.ways = {**self._network.ways, "node": self._all[:1]}
        hosts = ",".join(f"{host}:{cable.port}" for cable in self._all[:3])
        self.url = self.server_url = self.publisher_url = f"redis+cluster://{hosts}"

    async def stop(self) -> None:
        for cable in self._all:
            await cable.close()
        self._cluster.kill()

    async def _master(self) -> Valkey:
        """One of the three, all of which have a replica that is up to date."""
        await asyncio.to_thread(wait_for, self._cluster.whole, "the cluster to be whole", 60)
        masters = [node for node in self._cluster.nodes if node.role() == "master"]
        return random.choice(masters)

    async def _taken_over(self, master: Valkey) -> None:
        others = [node for node in self._cluster.nodes if node is not master]

        def taken() -> bool:
            return [node.role() for node in others].count("master") == 3

        await asyncio.to_thread(wait_for, taken, "a replica's promotion", 30)

    async def _kill(self) -> None:
        master = await self._master()
        master.kill()
        await self._taken_over(master)
        await asyncio.to_thread(master.server.start)

    async def _pause(self) -> None:
        master = await self._master()
        await pause(master.server, self._seconds)

    async def _fail_over(self) -> None:
        master = await self._master()
        replicas = [node for node in self._cluster.nodes if node.role() == "slave"]
        port = str(master.port)
        replica = next(node for node in replicas if node.info("replication")["master_port"] == port)
        await asyncio.to_thread(replica.ask, "CLUSTER", "FAILOVER")
        await asyncio.to_thread(wait_for, lambda: replica.role() == "master", "a promotion", 30)

    async def _full(self) -> None:
        await fill(await self._master(), min(self._seconds, 3.0))
