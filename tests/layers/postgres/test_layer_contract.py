"""PostgreSQL against the contract, a real server for all, a schema for each test."""

import pytest

from seaway.testing.contract_support import Process
from seaway.testing.layer_contract import LayerContract
from tests.layers.postgres.support import processes
from tests.servers.postgres import PostgresServer


class TestPostgresLayer(LayerContract):
    @pytest.fixture(autouse=True)
    def own_schema(self, postgres: PostgresServer, namespace: str) -> None:
        self.url = postgres.url()
        self.namespace = namespace

    async def make_layers(self, count: int) -> list[Process]:
        return await processes(self.url, self.namespace, count)
