"""A process in a network namespace is cut off from PostgreSQL, in silence, and comes back."""

import pytest

from tests.layers.cut_off import cut_off_and_given_back
from tests.layers.postgres.support import postgres_layer
from tests.servers.namespace import Namespace
from tests.servers.postgres import postgres_server

pytestmark = pytest.mark.asyncio


async def test_a_process_whose_network_is_cut_comes_back(
    network: Namespace, namespace: str
) -> None:
    wire = network.wire()
    with postgres_server(host=wire.here) as server:
        layer = postgres_layer(server.url(), namespace)
        # Its lease is no option, and longer than a test should take.
        await cut_off_and_given_back(network, wire, server.url(), namespace, layer, leaves=False)
