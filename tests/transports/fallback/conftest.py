"""A site with two workers for all tests of this folder, and clients that are closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.transports.fallback.clients import PollClient, StreamClient, TopicClient
from tests.transports.fallback.site.served import Site, serving

KINDS = {"sse": StreamClient, "polling": PollClient}


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture(params=sorted(KINDS))
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., TopicClient]]:
    """Makes clients over each fallback transport."""
    clients: list[TopicClient] = []

    def connect(site: Site, pid: int | None = None, cookie: str = "") -> TopicClient:
        client = KINDS[request.param](site, pid, cookie)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.close()
