"""What a URL says, and what a wrong one is told without its password."""

from pathlib import Path

import pytest

from seaway.exceptions import ConfigurationError
from seaway.layers.address import Endpoint
from tests.layers.redis.support import redis_layer


def test_one_server() -> None:
    address = redis_layer("redis://ann:s%2Fe%40t@cache.example:6380/3?timeout=2&lease=20").address
    assert address.endpoints == (Endpoint("cache.example", 6380),)
    assert (address.username, address.password, address.database) == ("ann", "s/e@t", 3)
    assert (address.options.timeout, address.options.lease) == (2.0, 20.0)
    assert address.describe() == "redis://cache.example:6380/3"


def test_defaults() -> None:
    address = redis_layer("valkey://localhost").address
    assert address.endpoints == (Endpoint("localhost", 6379),)
    assert (address.password, address.database, address.tls) == ("", 0, False)


def test_an_ipv6_address() -> None:
    address = redis_layer("rediss://:secret@[::1]:7000").address
    assert address.endpoints == (Endpoint("::1", 7000),)
    assert address.tls
    assert address.describe() == "rediss://[::1]:7000"


def test_sentinels() -> None:
    url = "redis+sentinel://:pw@a:1,b,[::2]:3/hall/2?sentinel_password=x"
    address = redis_layer(url).address
    assert address.endpoints == (Endpoint("a", 1), Endpoint("b", 26379), Endpoint("::2", 3))
    assert (address.master, address.database) == ("hall", 2)
    assert address.describe() == "redis+sentinel://a:1,b:26379,[::2]:3/hall/2"


def test_a_cluster() -> None:
    address = redis_layer("redis+cluster://a:1,b:2").address
    assert [endpoint.port for endpoint in address.endpoints] == [1, 2]


def test_a_socket() -> None:
    address = redis_layer("redis+unix:///run/redis.sock?db=1&timeout=3").address
    assert address.endpoints == (Endpoint("/run/redis.sock", 0),)
    assert address.database == 1


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://", "needs a host"),
        ("redis://:secret@host:port", "port .* has to be a number"),
        ("redis://:secret/x@host", "port .* %2F"),
        ("redis://:secret#x@host", "after a #"),
        ("redis://:secret@host:99999", "port"),
        ("redis://host/seven", "a database is a number, not 'seven'"),
        ("redis://host/0/1", "only a database's number"),
        ("redis://a,b", "one host.*redis\\+cluster"),
        ("redis+sentinel://host", "needs the master's name"),
        ("redis+cluster://host/1", "database 0 only"),
        ("redis+unix://host/x", "path of a socket"),
        ("redis://:secret@host?timeuot=3", "no option timeuot. Did you mean timeout?"),
        ("redis://:secret@host?colour=3", "no option colour. Known: timeout, lease"),
        ("redis://host?ca=/x", "no option ca. It belongs to another scheme"),
        ("redis://host?db=3", "no option db"),
        ("redis://host?timeout=soon", "option in its query is wrong: .*timeout"),
        ("redis://host?timeout=60", "timeout has to be from 0.1 to 15"),
        ("redis://host?lease=0", "lease has to be"),
        ("redis://host?timeout", "has to be options such as"),
        ("rediss://:secret@host?ca=/nowhere.pem", "option ca names no file"),
    ],
)
def test_a_wrong_address_is_told_without_its_password(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        redis_layer(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(ConfigurationError, match="certificates \\(ca\\) cannot be used"):
        redis_layer(f"rediss://host?ca={file}").address.tls_context()
