"""A process in a network namespace is cut off from NATS, in silence, and comes back."""

from pathlib import Path

import pytest

from tests.layers.cut_off import cut_off_and_given_back
from tests.layers.nats.support import namespace, nats_layer
from tests.servers.namespace import Namespace
from tests.servers.nats import Nats

pytestmark = pytest.mark.asyncio


async def test_a_process_whose_network_is_cut_comes_back(
    network: Namespace, tmp_path: Path
) -> None:
    wire = network.wire()
    server = Nats(tmp_path / "nats", host=wire.here).start()
    try:
        name, url = namespace(), f"{server.url}?lease=2"
        layer = nats_layer(url, name)
        await cut_off_and_given_back(network, wire, url, name, layer, leaves=True)
    finally:
        server.kill()
