"""What channels_redis calls hosts, as the address of a layer."""

from __future__ import annotations

from typing import Any

import pytest

from seaway.exceptions import ConfigurationError
from seaway.layers.channels.redis_hosts import layer_address

CA = {"ssl_ca_certs": "/etc/ca.pem", "ssl_check_hostname": False}
SENTINELS = [("one", 26379), ("two", 26380)]


@pytest.mark.parametrize(
    ("hosts", "address"),
    [
        (None, "redis://localhost:6379"),
        ([], "redis://localhost:6379"),
        ([("localhost", 6379)], "redis://localhost:6379"),
        ([["::1", 6379]], "redis://[::1]:6379"),
        (["redis://:password@127.0.0.1:6379/0"], "redis://:password@127.0.0.1:6379/0"),
        (["rediss://host/1"], "rediss://host/1"),
        (["unix:///path/to/redis.sock"], "redis+unix:///path/to/redis.sock"),
        (["redis+cluster://a,b"], "redis+cluster://a,b"),
        ([{"address": "redis://host:1"}], "redis://host:1"),
        ([{"address": b"redis://host:1"}], "redis://host:1"),
        (
            [{"address": "rediss://host", **CA}],
            "rediss://host?ca=%2Fetc%2Fca.pem&check_hostname=false",
        ),
        ([{"address": "unix:///s", "ssl_cert_reqs": "required"}], "redis+unix:///s"),
        ([{"host": "h", "port": 1, "db": 2, "password": "p@/"}], "redis://:p%40%2F@h:1/2"),
        ([{"host": "h", "username": "me", "password": "x", "ssl": True}], "rediss://me:x@h:6379/0"),
        ([{"path": "/run/redis.sock", "db": 3}], "redis+unix:///run/redis.sock?db=3"),
        (
            [{"sentinels": SENTINELS, "master_name": "mymaster", "password": "x"}],
            "redis+sentinel://:x@one:26379,two:26380/mymaster/0",
        ),
        (
            [
                {
                    "sentinels": SENTINELS,
                    "master_name": b"m",
                    "db": 4,
                    "sentinel_kwargs": {"password": "y"},
                }
            ],
            "redis+sentinel://one:26379,two:26380/m/4?sentinel_password=y",
        ),
    ],
)
def test_hosts_and_addresses(hosts: Any, address: str) -> None:
    assert layer_address(hosts) == address


@pytest.mark.parametrize(
    ("hosts", "reason"),
    [
        ("redis://localhost", "has to be a list of hosts"),
        ([7], "A host of type int"),
        (["http://secret@host"], "'http': a host is redis://"),
        (["localhost"], "No scheme"),
        ([{"host": "h", "retry_on_timeout": True}], "no option 'retry_on_timeout'"),
        ([{"address": "rediss://h", "ssl_cert_reqs": None}], "always verifies certificates"),
        ([{"sentinels": SENTINELS}], "needs a master_name"),
    ],
)
def test_what_is_no_host_is_told_without_its_password(hosts: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        layer_address(hosts)
    assert "secret" not in str(caught.value)


def test_several_servers_are_not_spread_over_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert layer_address(["redis://a", "redis://b"]) == "redis://a"
    assert "only the first is used" in caplog.text
    caplog.clear()
    assert layer_address(["redis://a", "redis://a"]) == "redis://a"
    assert not caplog.text
