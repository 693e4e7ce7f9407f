"""One PostgreSQL for all tests of the engine; each test has a schema of its own."""

import itertools
from collections.abc import Iterator

import pytest

from tests.servers.postgres import PostgresServer, postgres_server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server that no test stops or breaks."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def namespace() -> str:
    """A namespace that nobody has used."""
    return f"test-{next(_numbers)}"
