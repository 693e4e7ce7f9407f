"""A network namespace for the tests of several engines."""

from collections.abc import Iterator

import pytest

from tests.servers.namespace import Namespace, network_namespace, why_not


@pytest.fixture
def network() -> Iterator[Namespace]:
    """One in which a test can run a process and cut it off; skipped, with the reason, without."""
    if why_not():
        pytest.skip(f"no process can be cut off here: {why_not()}")
    with network_namespace() as namespace:
        yield namespace
