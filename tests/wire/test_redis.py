"""docs/reference/layer-wire.md, proved: a Node.js program and Seaway share topics and channels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import seaway
from seaway.layers.base import History, Layer
from seaway.layers.engines import make_layer
from tests.layers.following import Follower
from tests.servers.valkey import Valkey
from tests.waiting import until
from tests.wire.conftest import Node

pytestmark = pytest.mark.node

SCRIPTS = str(Path(seaway.__file__).parent / "layers" / "redis" / "lua")
KEPT = History(size=100, seconds=300)
TOPIC, CHANNEL = "halls/1/seats", "thumbnails"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey")).start()
    yield server
    server.kill()


@pytest.fixture
async def follower(server: Valkey, request: pytest.FixtureRequest) -> AsyncIterator[Follower]:
    """A Seaway process that follows the topic, in a namespace of this test's own."""
    layer = make_layer(server.url, namespace=request.node.name[:40], place="tests")
    follower = await Follower(layer, TOPIC).start()
    yield follower
    await follower.stop()


@pytest.fixture
def layer(follower: Follower) -> Layer:
    return follower.hub.layer


@pytest.fixture
def arguments(server: Valkey, request: pytest.FixtureRequest) -> tuple[str, ...]:
    return ("redis.js", server.url, request.node.name[:40], SCRIPTS)


async def test_what_it_publishes_arrives(
    node: Node, arguments: tuple[str, ...], follower: Follower, layer: Layer
) -> None:
    before = await layer.publish(TOPIC, b"ours", KEPT)
    program = await node(*arguments, "publish", TOPIC, "théirs")
    assert await program.says() == {"epoch": before.epoch, "offset": before.offset + 1}
    await program.ends()
    await layer.publish(TOPIC, b"ours again", KEPT)
    await until(lambda: len(follower.got()) == 3)
    assert follower.got() == [b"ours", "théirs".encode(), b"ours again"]
    assert follower.gaps == 0


async def test_it_follows_a_topic(node: Node, arguments: tuple[str, ...], layer: Layer) -> None:
    first = await layer.publish(TOPIC, b"before", KEPT)
    program = await node(*arguments, "follow", TOPIC, "20")
    assert await program.says() == {"epoch": first.epoch, "offset": 1, "following": True}
    for number in range(20):
        await layer.publish(TOPIC, b"event %d" % number, KEPT)
    for number in range(20):
        event = {"epoch": first.epoch, "offset": number + 2, "data": f"event {number}"}
        assert await program.says() == event
    await program.ends()


async def test_it_reads_what_it_was_not_told(
    node: Node, arguments: tuple[str, ...], server: Valkey, layer: Layer
) -> None:
    """Two of three events get lost on their way; the third shows the hole."""
    first = await layer.publish(TOPIC, b"before", KEPT)
    program = await node(*arguments, "follow", TOPIC, "3")
    assert (await program.says())["following"]
    stream = f"{arguments[2]}:{{t.{TOPIC}}}"
    # As the publish script does it, but without the announcement.
    for number in (1, 2):
        server.ask("RPUSH", f"{stream}.history", b"%013d" % 9_999_999_999_999 + b"lost %d" % number)
        server.ask("HINCRBY", stream, "o", 1)
    await layer.publish(TOPIC, b"told", KEPT)
    told = [await program.says() for _ in range(3)]
    assert [event["data"] for event in told] == ["lost 1", "lost 2", "told"]
    assert [event["offset"] for event in told] == [2, 3, 4]
    assert {event["epoch"] for event in told} == {first.epoch}
    await program.ends()


async def test_it_takes_from_a_queue(node: Node, arguments: tuple[str, ...], layer: Layer) -> None:
    ids = [await layer.send(CHANNEL, b"first")]
    program = await node(*arguments, "take", CHANNEL, "2")
    assert await program.says() == {"taking": True}
    first = await program.says()
    assert first == {"id": ids[0], "data": "first", "attempt": 1, "done": True}
    ids.append(await layer.send(CHANNEL, b"second"))
    second = await program.says()
    assert second == {"id": ids[1], "data": "second", "attempt": 1, "done": True}
    await program.ends()
    state = await layer.queue_state(CHANNEL)
    assert (state.waiting, state.held) == (0, 0)


async def test_what_it_sends_is_received(
    node: Node, arguments: tuple[str, ...], layer: Layer
) -> None:
    program = await node(*arguments, "send", CHANNEL, "work")
    answer = await program.says()
    assert answer["how"] == "sent"
    await program.ends()
    [delivery] = await layer.receive(CHANNEL, wait=10)
    assert (delivery.id, delivery.data) == (answer["id"], b"work")
    assert await layer.channels() == [CHANNEL]
    assert await layer.ack(delivery)
