"""Publishing from any language: keys, shapes, and what comes of it."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.test import override_settings

from seaway.conf import layer_home
from seaway.exceptions import LayerUnavailable
from seaway.layers.base import Position
from seaway.transports import publish
from seaway.transports.http import Refusal
from tests.transports.fallback.clients import StreamClient
from tests.transports.fallback.site.served import Reply, Site

KEY = "a-key-for-tests-that-is-long-enough-0123456789"
GOOD = {"Authorization": f"Bearer {KEY}"}
_feeds = itertools.count()


@pytest.fixture
def feed() -> str:
    return f"feeds/p{next(_feeds)}-{os.getpid()}"


def post(site: Site, body: Any, headers: dict[str, str] = GOOD) -> Reply:
    return site.line().request("POST", "/seaway/publish", body, headers)


def test_an_event_reaches_who_has_joined(site: Site, feed: str) -> None:
    client = StreamClient(site)
    joined = client.join(feed)
    reply = post(site, {"topic": feed, "event": "sold", "data": {"seat": 12}})
    assert reply.status == 200
    assert reply.json == {"topic": feed, "epoch": joined["epoch"], "offset": joined["offset"] + 1}
    assert client.events(1, "sold") == [{"seat": 12}]
    client.close()


def test_a_list_is_published_in_order(site: Site, feed: str) -> None:
    client = StreamClient(site)
    client.join(feed)
    events = [{"topic": feed, "event": "n", "data": number} for number in range(100)]
    reply = post(site, events)
    assert [entry["offset"] for entry in reply.json] == list(range(1, 101))
    assert client.events(100, "n") == list(range(100))
    client.close()


def test_data_may_be_laid_out_or_missing(site: Site, feed: str) -> None:
    client = StreamClient(site)
    client.join(feed)
    body = b'{"topic":"%b",\n "event": "n",\r\n "data": {\n "a": [1,\n 2]}}' % feed.encode()
    assert post(site, body).status == 200
    assert post(site, {"topic": feed, "event": "n"}).status == 200
    assert client.events(2, "n") == [{"a": [1, 2]}, None]
    client.close()


@pytest.mark.parametrize("authorization", [
    None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY[:-1]}", "Bearer \xff",
])  # fmt: skip
def test_without_a_key_nothing_is_published(
    site: Site, feed: str, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    reply = post(site, {"topic": feed, "event": "n"}, headers)
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert post(site, {"topic": feed, "event": "n"}).json["offset"] == 1


def test_every_key_is_good(site: Site, feed: str) -> None:
    other = {"Authorization": "bearer another-key-that-is-long-enough-as-well-0123"}
    assert post(site, {"topic": feed, "event": "n"}, other).status == 200


def test_pages_cannot_use_it(site: Site, feed: str) -> None:
    asking = {"Origin": "http://127.0.0.1", "Access-Control-Request-Method": "POST"}
    preflight = site.line().request("OPTIONS", "/seaway/publish", headers=asking)
    assert preflight.status == 405
    assert "access-control-allow-headers" not in preflight.headers
    reply = post(site, {"topic": feed, "event": "n"}, {**GOOD, "Origin": "http://127.0.0.1"})
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize(("body", "status", "code"), [
    (b"", 400, "invalid_request"),
    (b"{", 400, "invalid_request"),
    (b"3", 400, "invalid_request"),
    ({"topic": "feeds/a"}, 400, "invalid_request"),
    ({"topic": "feeds/a", "event": 3}, 400, "invalid_request"),
    ({"topic": "feeds/a", "event": "n", "dta": 1}, 400, "invalid_request"),
    ({"topic": "feeds/a", "event": ""}, 400, "invalid_event"),
    ({"topic": "feeds/a", "event": "n" * 101}, 400, "invalid_event"),
    ({"topic": "feeds/a", "event": "n", "data": "x" * 1_100_000}, 400, "invalid_event"),
    ({"topic": "nowhere", "event": "n"}, 404, "unknown_topic"),
    ({"topic": "~p/x", "event": "n"}, 404, "unknown_topic"),
    ([{"topic": "feeds/a", "event": "n"}] * 1001, 413, "too_large"),
    (b" " * 5_300_000, 413, "too_large"),
], ids=lambda value: repr(value)[:40])  # fmt: skip
def test_what_cannot_be_published_is_said(site: Site, body: Any, status: int, code: str) -> None:
    reply = post(site, body)
    assert (reply.status, reply.json["code"]) == (status, code), reply.body
    assert reply.json["message"]


def test_of_a_list_with_a_fault_nothing_is_published(site: Site, feed: str) -> None:
    good = {"topic": feed, "event": "n"}
    reply = post(site, [good, good, {"topic": "nowhere", "event": "n"}])
    assert (reply.status, reply.json["index"]) == (404, 2)
    assert post(site, good).json["offset"] == 1


def test_an_empty_list_is_published(site: Site) -> None:
    assert post(site, []).json == []


async def test_without_keys_there_is_nothing() -> None:
    with override_settings(SEAWAY={"LAYER": "memory://"}), pytest.raises(Refusal) as refused:
        await publish.serve_publish({"method": "POST", "headers": []}, _nothing, _nothing)
    assert refused.value.status == 404


async def test_an_empty_key_opens_nothing() -> None:
    scope = {"method": "POST", "headers": [(b"authorization", b"Bearer ")]}
    with (
        override_settings(SEAWAY={"LAYER": "memory://", "PUBLISH_KEYS": [""]}),
        pytest.raises(Refusal) as refused,
    ):
        await publish.serve_publish(scope, _nothing, _nothing)
    assert refused.value.status == 401


async def _nothing(*_: Any) -> Any:
    raise AssertionError("nothing is read and nothing is answered")


@pytest.fixture
async def failing_layer() -> AsyncIterator[Any]:
    """A layer that answers once, then no more."""
    home = layer_home()
    await home.adopt()
    layer: Any = home.layer
    publish_one, answers = layer.publish, iter([True])

    async def fails(*args: Any) -> Position:
        if next(answers, False):
            position: Position = await publish_one(*args)
            return position
        raise LayerUnavailable("no answer in 5 s")

    layer.publish = fails
    yield layer
    await home.release()


async def test_a_layer_that_fails_on_the_way_tells_how_far_it_came(failing_layer: Any) -> None:
    event = publish._Ready("feeds/a", None, b"{}")
    with pytest.raises(Refusal) as refused:
        await publish._publish([event, event, event])
    assert refused.value.status == 503
    assert b'"index":1' in refused.value.body
    assert b'"offset":1' in refused.value.body
