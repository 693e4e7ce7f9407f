"""A process in a network namespace is cut off from Redis, in silence, and comes back."""

from pathlib import Path

import pytest

from tests.layers.cut_off import cut_off_and_given_back
from tests.layers.redis.support import namespace, redis_layer
from tests.servers.namespace import Namespace
from tests.servers.valkey import Valkey

pytestmark = pytest.mark.asyncio


async def test_a_process_whose_network_is_cut_comes_back(
    network: Namespace, tmp_path: Path
) -> None:
    wire = network.wire()
    server = Valkey(tmp_path / "valkey", host=wire.here).start()
    try:
        name, url = namespace(), f"{server.url}?lease=2"
        layer = redis_layer(url, name)
        await cut_off_and_given_back(network, wire, url, name, layer, leaves=True)
    finally:
        server.kill()
