"""What tests of several engines begin with: a network namespace, and a hub that knows a topic."""

from collections.abc import AsyncIterator, Iterator

import pytest

from seaway.layers.hub import Hub
from seaway.layers.memory.store import Store
from tests.layers.hub_hall import Hall, LossyLayer
from tests.servers.namespace import Namespace, network_namespace, why_not


@pytest.fixture
def network() -> Iterator[Namespace]:
    """One in which a test can run a process and cut it off; skipped, with the reason, without."""
    if why_not():
        pytest.skip(f"no process can be cut off here: {why_not()}")
    with network_namespace() as namespace:
        yield namespace


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    layer = LossyLayer(Store())
    hub = Hub(layer)
    await layer.start(layer.announce_through(hub))
    yield Hall(layer, hub)
    await hub.close()
    await layer.close()
