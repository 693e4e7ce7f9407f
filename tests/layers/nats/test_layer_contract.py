"""The contract on one NATS server and on a cluster of three."""

import pytest

from seaway.testing.layer_contract import LayerContract, Process
from tests.layers.nats.support import namespace, processes
from tests.servers.nats import Nats, NatsCluster


class TestOneServer(LayerContract):
    @pytest.fixture(autouse=True)
    def server(self, nats: Nats) -> None:
        self.url, self.name = nats.url, namespace()

    async def make_layers(self, count: int) -> list[Process]:
        return await processes(self.url, count, self.name)


class TestCluster(LayerContract):
    @pytest.fixture(autouse=True)
    def servers(self, cluster: NatsCluster) -> None:
        self.url, self.name = cluster.url, namespace()

    async def make_layers(self, count: int) -> list[Process]:
        return await processes(self.url, count, self.name)
