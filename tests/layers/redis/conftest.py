"""One server of each kind for all tests that do it no harm, and a fresh one for those that do."""

import shutil
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


@pytest.fixture(scope="session")
def old_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """The system's own Redis 7 or later, and a user ``sea`` with the rights that the docs name."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server here")
    server = Valkey(tmp_path_factory.mktemp("redis"), binary=binary).start()
    try:
        if int(server.info("server")["redis_version"].split(".")[0]) < 7:
            pytest.skip("this redis-server is too old")
        rights = ("on", ">pw", "~t*", "&t*", "+@all", "-@admin", "-@dangerous", "+info")
        assert server.ask("ACL", "SETUSER", "sea", *rights) == b"OK"
        yield server
    finally:
        server.kill()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "valkey").start()
    yield server
    server.kill()
