"""What becomes of a channel layer when its engine fails, its loops end, or its members are many."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from seaway.exceptions import ConfigurationError, LayerUnavailable
from seaway.layers.channels import feed, group, groups, takers
from seaway.layers.channels.layer import ChannelLayer
from seaway.layers.channels.peers import Ask
from tests.layers.channels.support import Processes, nothing_comes, processes, soon
from tests.waiting import until


@pytest.fixture
async def found(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Processes]:
    for module in (feed, groups, takers):
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    async with processes() as found:
        yield found


class Broken:
    """Methods of the engine's layer that do not answer for a while."""

    def __init__(self, layer: ChannelLayer, *methods: str) -> None:
        self.engine = layer._home().layer
        self.methods = methods
        self.asked = 0

    def __enter__(self) -> Broken:
        async def fail(*_: Any, **__: Any) -> Any:
            self.asked += 1
            raise LayerUnavailable("No engine today.")

        for method in self.methods:
            setattr(self.engine, method, fail)
        return self

    def __exit__(self, *_: object) -> None:
        for method in self.methods:
            delattr(self.engine, method)


# The engine does not answer ----------------------------------------------------------------------


async def test_who_sends_or_joins_is_told(found: Processes) -> None:
    layer = await found.start()
    channel = await layer.new_channel()
    with Broken(layer, "publish", "watch", "send"):
        for call in (
            layer.group_send("group", {}),
            layer.group_add("group", channel),
            layer.send("plain", {}),
            layer.send("specific.elsewhere!x", {}),
        ):
            with pytest.raises(LayerUnavailable, match="No engine today"):
                await call
    assert await layer.group_count("group") == 0
    await layer.group_add("group", channel)
    await layer.group_send("group", {"n": 1})
    assert await soon(layer, channel) == {"n": 1}


async def test_a_new_channel_is_given_out_only_once_it_can_be_reached(found: Processes) -> None:
    layer = await found.start()
    with Broken(layer, "enter"), pytest.raises(LayerUnavailable):
        await layer.new_channel()
    other = await found.start()
    channel = await layer.new_channel()
    await other.send(channel, {"n": 1})
    assert await soon(layer, channel) == {"n": 1}


async def test_a_receiver_waits_until_the_engine_is_back_and_that_is_said_once(
    found: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    layer = await found.start()
    with Broken(layer, "receive") as broken:
        waiting = asyncio.ensure_future(layer.receive("plain"))
        await until(lambda: broken.asked > 3)
    await layer.send("plain", {"n": 1})
    assert await asyncio.wait_for(waiting, 10) == {"n": 1}
    assert caplog.text.count("cannot receive from") == 1


async def test_a_message_whose_receipt_is_lost_is_counted(found: Processes) -> None:
    layer = await found.start()
    await layer.send("plain", {"n": 1})
    with Broken(layer, "ack"):
        assert await soon(layer, "plain") == {"n": 1}
    assert (await layer.statistics())["acks_lost"] == 1


async def test_who_is_cancelled_while_the_receipt_is_on_its_way_leaves_the_message(
    found: Processes,
) -> None:
    layer, other = await found.start(), await found.start()
    engine = layer._home().layer
    ack, go_on, asked = engine.ack, asyncio.Event(), asyncio.Event()

    async def slow(delivery: Any) -> bool:
        asked.set()
        await go_on.wait()
        return await ack(delivery)

    engine.ack = slow  # type: ignore[method-assign]  # an engine that takes its time
    await layer.send("plain", {"n": 1})
    waiting = asyncio.ensure_future(layer.receive("plain"))
    await asked.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    go_on.set()
    assert await soon(other, "plain") == {"n": 1}  # it went back to the queue
    await nothing_comes(layer, "plain")


async def test_a_plain_member_gets_what_was_sent_while_its_queue_was_away(
    found: Processes,
) -> None:
    layer = await found.start()
    await layer.group_add("news", "archive")
    with Broken(layer, "send") as broken:
        await layer.group_send("news", {"n": 1})
        await layer.group_send("news", {"n": 2})
        await until(lambda: broken.asked > 2)
    assert [(await soon(layer, "archive"))["n"] for _ in range(2)] == [1, 2]


async def test_a_plain_member_whose_queue_stays_away_is_counted(
    found: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    layer = await found.start(expiry=0.05)
    await layer.group_add("news", "archive")
    with Broken(layer, "send"):
        await layer.group_send("news", {"n": 1})
        await until(lambda: layer._tally.counts["undelivered"] == 1)
    assert "group news: No engine today" in caplog.text


async def test_a_plain_member_that_is_full_is_counted(
    found: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    layer = await found.start(capacity=1)
    await layer.group_add("news", "archive")
    for number in range(2):
        await layer.group_send("news", {"n": number})
    await until(lambda: layer._tally.counts["dropped_full"] == 1)
    assert "holds 1 messages already" in caplog.text
    assert await soon(layer, "archive") == {"n": 0}


async def test_after_a_gap_a_group_is_followed_again_as_soon_as_the_engine_answers(
    found: Processes,
) -> None:
    layer = await found.start(capacity=1000)
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    hub = layer._home().hub
    published = hub.published
    hub.published = lambda topic, publication: None  # type: ignore[method-assign]  # an outage
    sending = [
        asyncio.ensure_future(layer.group_send("group", {"n": number}))
        for number in range(feed.HISTORY.size + 5)
    ]
    await asyncio.sleep(0)
    hub.published = published  # type: ignore[method-assign]  # it is over
    subscribe, tries = hub.subscribe, 0

    async def fail_twice(*arguments: Any, **options: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise LayerUnavailable("No engine today.")
        return await subscribe(*arguments, **options)

    hub.subscribe = fail_twice  # type: ignore[method-assign]  # fails as the engine does
    await layer.group_send("group", {"n": "seen by its hole"})
    await asyncio.gather(*sending)
    await until(lambda: layer._tally.counts["gaps"] > 0)
    assert tries == 3
    await layer.group_send("group", {"n": "after"})
    assert await soon(layer, channel) == {"n": "after"}


async def test_memberships_are_kept_when_the_next_engine_is_slow_to_come(
    found: Processes,
) -> None:
    layer, sender = await found.start(), await found.start()
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    home = layer._home()
    await home.release()
    await home.adopt()
    home.layer.timeout = 0.05
    with Broken(layer, "watch"):
        assert (await layer.statistics())["groups"] == 1
        await layer.send("plain", {"n": 1})  # waits for the move, and no longer than it may
    await until(lambda: len(found.store.watchers("~channels/default/g/group")) == 1)
    await sender.group_send("group", {"n": 1})
    assert await soon(layer, channel) == {"n": 1}


# Many members ------------------------------------------------------------------------------------


async def members(layer: ChannelLayer, number: int, put: Callable[[Any], None]) -> list[str]:
    channels = [await layer.new_channel() for _ in range(number)]
    for channel in channels:
        layer.subscribe(channel, put)
        await layer.group_add("group", channel)
    return channels


async def test_a_large_group_lets_the_loop_serve_others(
    found: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "TURN_SECONDS", 0.0)  # every chunk ends its turn
    layer = await found.start()
    got: list[int] = []
    turns: list[int] = []
    await members(layer, 3 * group.CHUNK, lambda message: got.append(message["n"]))

    def look() -> None:
        turns.append(len(got))
        if len(got) < 6 * group.CHUNK:
            asyncio.get_running_loop().call_soon(look)

    look()
    await asyncio.gather(layer.group_send("group", {"n": 1}), layer.group_send("group", {"n": 2}))
    assert got == [1] * 3 * group.CHUNK + [2] * 3 * group.CHUNK
    assert len(set(turns)) > 3


async def test_who_leaves_in_the_middle_of_a_message_gets_no_more(
    found: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "TURN_SECONDS", 0.0)
    layer = await found.start()
    got = 0

    def put(message: dict[str, Any]) -> None:
        nonlocal got
        got += 1
        if got == 1:
            node = layer._node
            assert node is not None
            for channel in channels[-10:]:
                node.groups.discard("group", channel)

    channels = await members(layer, 2 * group.CHUNK, put)
    await layer.group_send("group", {"n": 1})
    assert got == 2 * group.CHUNK - 10


# Loops that end ----------------------------------------------------------------------------------


async def test_subscribers_on_a_loop_that_has_ended_are_let_go(found: Processes) -> None:
    layer = await found.start()
    one, two = await layer.new_channel(), await layer.new_channel()

    async def subscribe() -> None:
        layer.subscribe(one, print)
        layer.subscribe(two, print)

    await asyncio.to_thread(asyncio.run, subscribe())
    await layer.group_add("group", one)
    await layer.group_send("group", {"n": 1})
    await layer.send(two, {"n": 1})
    await layer.send(two, {"n": 2})  # waits for a receiver, as if nobody had subscribed
    assert await soon(layer, two) == {"n": 2}


async def test_a_waiting_receiver_whose_loop_has_ended_takes_nothing(found: Processes) -> None:
    layer = await found.start()
    channel = await layer.new_channel()
    left: list[Any] = []

    def wait_and_die() -> None:
        loop = asyncio.new_event_loop()
        receiving = layer.receive(channel)
        left.append(loop.create_task(receiving))
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    thread = threading.Thread(target=wait_and_die)
    thread.start()
    await asyncio.to_thread(thread.join)
    await layer.send(channel, {"n": 1})
    assert await soon(layer, channel) == {"n": 1}
    left[0].get_coro().close()
    left[0]._log_destroy_pending = False


# Questions ---------------------------------------------------------------------------------------


async def test_a_question_of_a_later_version_has_an_answer(found: Processes) -> None:
    layer = await found.start()
    node = await layer._do(_node_of)
    assert node._answer(Ask("x", 1, "what is new?")) is None
    assert await node._answer(Ask("x", 1, "join", "group", "specific.elsewhere!x")) is False


async def _node_of(node: Any) -> Any:
    return node


@pytest.mark.parametrize("prefix", ["", "a b", "é", "x" * 41, "a/b"])
def test_a_prefix_has_to_be_legal_at_every_engine(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be a channel layer's prefix"):
        ChannelLayer(lambda: None, prefix=prefix)  # type: ignore[arg-type, return-value]  # unused
