"""Layers on a PostgreSQL for tests."""

from seaway.layers.postgres.address import read_address
from seaway.layers.postgres.layer import PostgresLayer
from seaway.testing.contract_support import Process, started


def postgres_layer(url: str, namespace: str) -> PostgresLayer:
    return PostgresLayer(read_address(url, namespace))


async def processes(url: str, namespace: str, count: int) -> list[Process]:
    """Started layers of so many different processes."""
    return [await started(postgres_layer(url, namespace)) for _ in range(count)]
