"""The engine behind a connection pooler: refused where it cannot work, and good where it can."""

from __future__ import annotations

import psycopg
import pytest

from seaway.exceptions import ConfigurationError
from seaway.testing.contract_support import KEPT, TOPIC, started
from tests.layers.postgres.support import postgres_layer
from tests.servers.pooler import Pooler
from tests.servers.postgres import PostgresServer


async def test_a_pooler_in_transaction_mode_is_refused_before_anything_is_set(
    postgres: PostgresServer, namespace: str
) -> None:
    pooler = Pooler(postgres.url(), by_transaction=True)
    async with pooler.serve() as url:
        with pytest.raises(ConfigurationError, match="pooler in transaction mode"):
            await started(postgres_layer(url, namespace))
        # It must not have changed the connections that others get now.
        other = await psycopg.AsyncConnection.connect(url, autocommit=True)
        assert await (await other.execute("SHOW search_path")).fetchone() == ('"$user", public',)
        await other.close()


async def test_a_pooler_in_session_mode_is_good(postgres: PostgresServer, namespace: str) -> None:
    pooler = Pooler(postgres.url(), by_transaction=False)
    async with pooler.serve() as url:
        process = await started(postgres_layer(url, namespace))
        other = await started(postgres_layer(url, namespace))
        await process.layer.watch(TOPIC)
        await other.layer.publish(TOPIC, b"1", KEPT)
        await process.heard.until_count(1)
        await process.layer.close()
        await other.layer.close()
