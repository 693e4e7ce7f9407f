"""The Channels API, the same in memory, on an engine of the loop's own, and on one elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from seaway.exceptions import ChannelFull, UnencodablePayload
from seaway.layers.channels.memory import InMemoryChannelLayer
from tests.layers.channels.support import Anyone, Clock, nothing_comes, processes, soon
from tests.waiting import until

# Channels ----------------------------------------------------------------------------------------


async def test_what_is_sent_is_received(layer: Anyone) -> None:
    await layer.send("test-channel-1", {"type": "test.message", "text": "Ahoy-hoy!"})
    message = await soon(layer, "test-channel-1")
    assert message == {"type": "test.message", "text": "Ahoy-hoy!"}


async def test_a_receiver_waits(layer: Anyone) -> None:
    waiting = asyncio.ensure_future(layer.receive("test-channel"))
    await asyncio.sleep(0)
    await layer.send("test-channel", {"n": 1})
    assert await asyncio.wait_for(waiting, 10) == {"n": 1}


async def test_messages_come_in_order(layer: Anyone) -> None:
    channel = await layer.new_channel()
    for name in (channel, "plain"):
        for number in range(3):
            await layer.send(name, {"n": number})
        assert [(await soon(layer, name))["n"] for _ in range(3)] == [0, 1, 2]


async def test_a_full_channel_says_so_to_its_sender(layer: Anyone) -> None:
    channel = await layer.new_channel()
    for name in (channel, "plain"):
        for _ in range(3):
            await layer.send(name, {"hey": "there"})
        with pytest.raises(ChannelFull, match="holds 3 messages already"):
            await layer.send(name, {"hey": "there"})
        await soon(layer, name)
        await layer.send(name, {"hey": "again"})
    await layer.send("tiny", {"hey": "there"})
    with pytest.raises(layer.ChannelFull, match="tiny"):
        await layer.send("tiny", {"hey": "there"})


async def test_new_channels_differ_and_are_legal(layer: Anyone) -> None:
    names = {await layer.new_channel() for _ in range(10)}
    assert len(names) == 10
    for name in names:
        assert name.startswith("specific.")
        assert layer.require_valid_channel_name(name)
    assert (await layer.new_channel("chat")).startswith("chat.")
    assert (await layer.new_channel("chat.")).startswith("chat.")
    with pytest.raises(TypeError, match="Channel name"):
        await layer.new_channel("x" * 90)


async def test_two_channels_of_a_process_receive_each_their_own(layer: Anyone) -> None:
    one, two = await layer.new_channel(), await layer.new_channel()
    waiting = asyncio.ensure_future(layer.receive(two))
    await layer.send(one, {"for": "one"})
    await layer.send(two, {"for": "two"})
    assert await asyncio.wait_for(waiting, 10) == {"for": "two"}
    assert await soon(layer, one) == {"for": "one"}


async def test_names_are_checked_and_messages_are_dicts(layer: Anyone) -> None:
    for call in (
        layer.send("¯\\_(ツ)_/¯", {}),
        layer.receive("¯\\_(ツ)_/¯"),
        layer.group_add("group", "¯\\_(ツ)_/¯"),
        layer.group_add("¯\\_(ツ)_/¯", "chat"),
        layer.group_discard("¯\\_(ツ)_/¯", "chat"),
        layer.group_send("¯\\_(ツ)_/¯", {}),
    ):
        with pytest.raises(TypeError, match="name must be a valid unicode string"):
            await call
    wrong: list[Any] = ["text", None, ["list"], {"when": object()}]
    for message in wrong:
        with pytest.raises(UnencodablePayload):
            await layer.send("chat", message)
        with pytest.raises(UnencodablePayload):
            await layer.group_send("chat", message)


async def test_a_cancelled_receiver_takes_nothing(layer: Anyone) -> None:
    channel = await layer.new_channel()
    for name in (channel, "plain"):
        for round_ in range(20):
            waiting = asyncio.ensure_future(layer.receive(name))
            await asyncio.sleep(0)
            sending = asyncio.ensure_future(layer.send(name, {"n": round_}))
            for _ in range(round_ % 7):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting, sending])
            if waiting.cancelled():
                message = await soon(layer, name)
            else:
                message = waiting.result()
            assert message == {"n": round_}


async def test_the_next_receiver_is_woken_in_place_of_a_cancelled_one(layer: Anyone) -> None:
    channel = await layer.new_channel()
    for name in (channel, "plain"):
        first = asyncio.ensure_future(layer.receive(name))
        await asyncio.sleep(0.01)
        second = asyncio.ensure_future(layer.receive(name))
        await asyncio.sleep(0.01)
        await layer.send(name, {"n": 1})
        first.cancel()
        done, _ = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
        got = [one.result() for one in done if not one.cancelled()]
        if not got:
            got = [await asyncio.wait_for(second, 10)]
        assert got == [{"n": 1}]
        second.cancel()
        await asyncio.wait([first, second])


# Groups ------------------------------------------------------------------------------------------


async def test_a_message_reaches_the_members_and_nobody_else(layer: Anyone) -> None:
    one, two, three = [await layer.new_channel(f"test-gr-chan-{n}") for n in range(3)]
    for channel in (one, two, three):
        await layer.group_add("test-group", channel)
    await layer.group_add("test-group", one)  # again: nothing
    await layer.group_discard("test-group", two)
    await layer.group_discard("test-group", two)
    await layer.group_send("test-group", {"type": "message.1"})
    assert await soon(layer, one) == {"type": "message.1"}
    assert await soon(layer, three) == {"type": "message.1"}
    await nothing_comes(layer, two)
    await nothing_comes(layer, one)


async def test_plain_channels_may_be_members(layer: Anyone) -> None:
    await layer.group_add("test-group", "plain-1")
    await layer.group_add("test-group", "plain-2")
    for number in range(3):
        await layer.group_send("test-group", {"n": number})
    for number in range(3):
        assert await soon(layer, "plain-1") == {"n": number}
        assert await soon(layer, "plain-2") == {"n": number}
    await layer.group_discard("test-group", "plain-1")
    await layer.group_send("test-group", {"n": 3})
    assert await soon(layer, "plain-2") == {"n": 3}
    await nothing_comes(layer, "plain-1")


async def test_a_full_member_does_not_stop_the_others_and_is_told_of(
    layer: Anyone, caplog: pytest.LogCaptureFixture
) -> None:
    slow, quick = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("test-group", slow)
    await layer.group_add("test-group", quick)
    for number in range(5):
        await layer.group_send("test-group", {"n": number})
        assert await soon(layer, quick) == {"n": number}
    assert [(await soon(layer, slow))["n"] for _ in range(3)] == [0, 1, 2]
    assert (await layer.statistics())["dropped_full"] == 2
    assert "1 of 2 channels over capacity in group test-group" in caplog.text


async def test_a_group_without_members_takes_messages(layer: Anyone) -> None:
    await layer.group_send("nobody", {"n": 1})
    channel = await layer.new_channel()
    await layer.group_add("nobody", channel)
    await nothing_comes(layer, channel)  # it was sent before it joined


async def test_receivers_and_the_sender_share_nothing(layer: Anyone) -> None:
    one, two = await layer.new_channel(), await layer.new_channel()
    for channel in (one, two):
        await layer.group_add("test-group", channel)
    sent: dict[str, Any] = {"list": [1], "deep": {"list": [2]}}
    await layer.group_send("test-group", sent)
    await layer.send("plain", sent)
    sent["list"].append(7)
    first = await soon(layer, one)
    first["deep"]["list"].append(8)
    expected = {"list": [1], "deep": {"list": [2]}}
    assert await soon(layer, two) == expected
    assert await soon(layer, "plain") == expected


async def test_members_can_be_counted_and_listed(layer: Anyone) -> None:
    assert await layer.group_count("test-group") == 0
    channels = [await layer.new_channel() for _ in range(3)]
    for channel in channels:
        await layer.group_add("test-group", channel)
    assert await layer.group_count("test-group") == 3
    assert sorted(await layer.group_channels("test-group")) == sorted(channels)


async def test_flush_leaves_nothing(layer: Anyone) -> None:
    channel = await layer.new_channel()
    await layer.group_add("test-group", channel)
    await layer.group_send("test-group", {"n": 1})
    await layer.send("plain", {"n": 1})
    await layer.flush()
    assert await layer.group_count("test-group") == 0
    await layer.group_send("test-group", {"n": 2})
    await nothing_comes(layer, channel)
    await nothing_comes(layer, "plain")


# Subscribers -------------------------------------------------------------------------------------


async def test_a_subscriber_gets_what_comes_and_what_waited(layer: Anyone) -> None:
    got: list[dict[str, Any]] = []
    channel = await layer.new_channel()
    await layer.group_add("test-group", channel)
    await layer.send(channel, {"n": 0})
    layer.subscribe(channel, got.append)
    assert got == [{"n": 0}]
    for number in range(1, 6):  # more than its capacity
        await layer.send(channel, {"n": number})
    await layer.group_send("test-group", {"n": 6})
    await until(lambda: len(got) == 7)
    assert got == [{"n": number} for number in range(7)]
    layer.unsubscribe(channel)
    layer.unsubscribe(channel)
    await layer.group_send("test-group", {"n": 7})
    assert len(got) == 7
    assert await layer.group_count("test-group") == 0
    assert not layer.channels


async def test_a_subscriber_that_fails_does_not_harm_the_others(
    layer: Anyone, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(message: dict[str, Any]) -> None:
        raise ZeroDivisionError

    got: list[dict[str, Any]] = []
    for put in (fail, got.append, fail):
        channel = await layer.new_channel()
        layer.subscribe(channel, put)
        await layer.group_add("test-group", channel)
    await layer.group_send("test-group", {"n": 1})
    await until(lambda: bool(got))
    assert got == [{"n": 1}]
    assert "a subscriber" in caplog.text


# One engine, one loop ----------------------------------------------------------------------------


async def test_a_subscriber_may_not_be_of_another_process() -> None:
    async with processes() as found:
        layer = await found.start()
        with pytest.raises(AssertionError, match="is not a channel of this process"):
            layer.subscribe("specific.other!x", print)
        with pytest.raises(AssertionError, match="which alone can receive"):
            await layer.receive("specific.other!x")


# In memory ---------------------------------------------------------------------------------------


async def test_channels_that_nobody_reads_go_when_another_is_read(clock: Clock) -> None:
    layer = InMemoryChannelLayer(expiry=60)
    await layer.send("test-channel-1", {"type": "message.1"})
    assert len(layer.channels) == 1
    clock.advance(60)
    await layer.send("test-channel-2", {"type": "message.2"})
    assert len(layer.channels) == 2
    assert (await soon(layer, "test-channel-2"))["type"] == "message.2"
    assert len(layer.channels) == 0


async def test_in_memory_there_is_no_other_process() -> None:
    layer = InMemoryChannelLayer()
    await layer.send("any.name!at-all", {"n": 1})
    assert await soon(layer, "any.name!at-all") == {"n": 1}
    with pytest.raises(TypeError, match="has no option 'hosts'"):
        InMemoryChannelLayer(hosts=[])
