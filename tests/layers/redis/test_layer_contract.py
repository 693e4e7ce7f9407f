"""The whole contract on one server, on a cluster, and behind Sentinels."""

import pytest

from seaway.testing.layer_contract import (
    LayerContract,
    LifeContract,
    PresenceContract,
    Process,
    QueueContract,
    StreamContract,
)
from tests.layers.redis.support import namespace, processes
from tests.servers.valkey import SentinelTrio, Valkey, ValkeyCluster


class TestOneServer(LayerContract):
    @pytest.fixture(autouse=True)
    def server(self, valkey: Valkey) -> None:
        self.name = namespace()
        self.url = f"redis+unix://{valkey.socket}"

    async def make_layers(self, count: int) -> list[Process]:
        return await processes(self.url, count, self.name)


class TestCluster(LayerContract):
    @pytest.fixture(autouse=True)
    def servers(self, cluster: ValkeyCluster) -> None:
        self.name = namespace()
        self.url = cluster.url

    async def make_layers(self, count: int) -> list[Process]:
        return await processes(self.url, count, self.name)


class TestSentinels(StreamContract, QueueContract, LifeContract):
    @pytest.fixture(autouse=True)
    def servers(self, sentinels: SentinelTrio) -> None:
        self.name = namespace()
        self.url = sentinels.url

    async def make_layers(self, count: int) -> list[Process]:
        return await processes(self.url, count, self.name)


class TestRedisOfASystemWithFewRights(StreamContract, PresenceContract, LifeContract):
    """Redis itself, as distributions have it, and a user who may do no more than the docs say."""

    @pytest.fixture(autouse=True)
    def server(self, old_redis: Valkey) -> None:
        self.name = namespace()
        self.url = f"redis://sea:pw@127.0.0.1:{old_redis.port}"

    async def make_layers(self, count: int) -> list[Process]:
        return await processes(self.url, count, self.name)
