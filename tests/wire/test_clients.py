"""docs/reference/layer-wire.md, proved: a Node.js program and Seaway share topics and channels.

What lives here: what a client can do on every engine.
"""

from __future__ import annotations

import asyncio

import pytest

from seaway.layers.base import Layer
from tests.layers.following import Follower
from tests.waiting import until
from tests.wire.conftest import CHANNEL, KEPT, TOPIC, Node

pytestmark = pytest.mark.node


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


async def test_what_was_published_together_is_told_one_by_one(
    node: Node, arguments: tuple[str, ...], layer: Layer
) -> None:
    first = await layer.publish(TOPIC, b"before", KEPT)
    program = await node(*arguments, "follow", TOPIC, "50")
    assert (await program.says())["following"]
    await asyncio.gather(*(layer.publish(TOPIC, b"%d" % number, KEPT) for number in range(50)))
    for number in range(50):
        event = {"epoch": first.epoch, "offset": number + 2, "data": str(number)}
        assert await program.says() == event
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
