"""What these tests share: a layer and a table of handlers that start empty, and real servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from seaway.channels.handlers import handlers
from seaway.conf import close_layer_home
from tests.tasks.site import Site, project, started_servers


@pytest.fixture(autouse=True)
def own_layer_and_handlers(transactional_db: None) -> Iterator[None]:
    """The database: whoever runs asynchronous code closes the connections of
    earlier tests; and not in a transaction, which `put` would wait for."""
    with handlers.isolated():
        yield
    close_layer_home()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Engine → its address; each server is started when it is first asked for."""
    with started_servers(tmp_path_factory.mktemp) as address:
        yield address


@pytest.fixture(params=["local", "redis", "nats", "postgres"])
def site(
    request: pytest.FixtureRequest, servers: Callable[[str], str], transactional_db: None
) -> Iterator[Site]:
    with project(request.param, servers) as site:
        yield site
