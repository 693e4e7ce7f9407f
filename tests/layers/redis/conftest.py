"""One server of each kind for all tests that do it no harm, and a fresh one for those that do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.valkey import SentinelTrio, Valkey, ValkeyCluster


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey")).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyCluster]:
    servers = ValkeyCluster(tmp_path_factory.mktemp("cluster"))
    yield servers.start()
    servers.kill()


@pytest.fixture(scope="session")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelTrio]:
    servers = SentinelTrio(tmp_path_factory.mktemp("sentinels"))
    yield servers.start()
    servers.kill()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "valkey").start()
    yield server
    server.kill()
