"""Addresses of a NATS: what is understood, and what is said of the rest."""

import pytest

from seaway.exceptions import ConfigurationError
from seaway.layers.address import Endpoint
from seaway.layers.engines import make_layer
from seaway.layers.nats.layer import NatsLayer
from seaway.layers.nats.subjects import name, streams, token


def layer(url: str) -> NatsLayer:
    made = make_layer(url, namespace="hall", place="tests")
    assert isinstance(made, NatsLayer)
    return made


def test_several_servers_and_default_ports() -> None:
    address = layer("nats://one,two:4333,[::1]").address
    assert address.endpoints == (
        Endpoint("one", 4222),
        Endpoint("two", 4333),
        Endpoint("::1", 4222),
    )


def test_who_we_are_is_read_and_never_shown() -> None:
    one = layer("nats://ann:p%40ss@host")
    assert (one.address.username, one.address.password) == ("ann", "p@ss")
    assert layer("nats://t0ken@host").address.token == "t0ken"
    assert one.describe() == "NATS at nats://host:4222"


def test_options() -> None:
    made = layer("nats://host?timeout=2&lease=3&replicas=3&storage=memory&max_age=3600")
    assert (made.timeout, made.lease) == (2.0, 3.0)
    assert made.address.options.storage == "memory"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nats://", "needs a host"),
        ("nats://host:port", "number from 1 to 65535"),
        ("nats://ann:pa/ss@host", "write those as"),
        ("nats://host/4", "takes no path"),
        ("nats://host#x", "after a #"),
        ("nats://host?timout=4", "Did you mean timeout"),
        ("nats://host?timeout=soon", "option in its query is wrong"),
        ("nats://host?timeout=0", "from 0.1 to 60"),
        ("nats://host?storage=tape", "option in its query is wrong"),
        ("nats://host?ca=/x", "belongs to tls://"),
        ("nats://host?credentials=/no/such/file", "names no file"),
        ("tls://host?ca=/no/such/file", "names no file"),
    ],
)
def test_what_is_wrong_is_named_without_secrets(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as raised:
        layer(url)
    assert "pa/ss" not in str(raised.value)


@pytest.mark.parametrize("text", ["plain", "a.b", "a*?>", "100%", "%2E", "{x}"])
def test_a_name_is_one_token_and_comes_back(text: str) -> None:
    assert not set(token(text)) & set(".*>")
    assert name(token(text)) == text


def test_streams_of_two_namespaces_differ() -> None:
    assert streams("my.site") != streams("my_site")
