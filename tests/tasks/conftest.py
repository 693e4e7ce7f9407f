"""What these tests share: a layer and handlers that start empty, as for channels, and servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.channels.conftest import own_layer_and_handlers
from tests.tasks.site import Site, project, started_servers

__all__ = ["own_layer_and_handlers"]


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
