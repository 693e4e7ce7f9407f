"""Several processes on one engine: what each sees of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from seaway.exceptions import LayerUnavailable
from seaway.layers.channels.layer import ChannelLayer
from tests.layers.channels.support import (
    Counted,
    Processes,
    members,
    nothing_comes,
    processes,
    soon,
)
from tests.waiting import until


@pytest.fixture
async def found() -> AsyncIterator[Processes]:
    async with processes() as found:
        yield found


async def test_a_channel_of_another_process_can_be_sent_to(found: Processes) -> None:
    here, there = await found.start(), await found.start()
    channel = await there.new_channel()
    for number in range(3):
        await here.send(channel, {"n": number})
    assert [(await soon(there, channel))["n"] for _ in range(3)] == [0, 1, 2]


async def test_a_message_to_a_group_is_one_message_of_the_engine(found: Processes) -> None:
    here, there, sender = [await found.start() for _ in range(3)]
    channels = [(here, name) for name in await members(here, "group", 5)]
    channels += [(there, name) for name in await members(there, "group", 5)]
    before = Counted.published_count
    await sender.group_send("group", {"n": 1})
    assert Counted.published_count == before + 1
    for layer, channel in channels:
        assert await soon(layer, channel) == {"n": 1}


async def test_a_process_without_members_is_not_told(found: Processes) -> None:
    here, there = await found.start(), await found.start()
    (channel,) = await members(here, "group", 1)
    assert len(found.store.watchers("~channels/default/g/group")) == 1
    await here.group_discard("group", channel)
    await until(lambda: not found.store.watchers("~channels/default/g/group"))
    await there.group_send("group", {"n": 1})
    await nothing_comes(here, channel)


async def test_members_of_all_processes_are_counted(found: Processes) -> None:
    here, there, asker = [await found.start() for _ in range(3)]
    channels = await members(here, "group", 3) + await members(there, "group", 2)
    assert await asker.group_count("group") == 5
    assert await here.group_channels("group") == sorted(channels)


async def test_a_process_that_ended_is_not_asked(found: Processes) -> None:
    here, there = await found.start(), await found.start()
    await members(here, "group", 3)
    await members(there, "group", 2)
    await found.stop(there)
    here._home().layer.timeout = 600
    async with asyncio.timeout(20):  # less than the time that an answer may take
        assert await here.group_count("group") == 3


async def test_a_process_that_hangs_is_not_waited_for_without_end(
    found: Processes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = await found.start(), await found.start()
    await members(here, "group", 3)
    await members(there, "group", 2)
    node = there._node
    assert node is not None
    node.peers.release()  # it is deaf, and still on the list
    monkeypatch.setattr(here._home().layer, "timeout", 0.1)
    assert await here.group_count("group") == 3
    assert f"no answer to 'members' from the processes {there._names.process}" in caplog.text


async def test_a_channel_of_another_process_can_be_made_a_member(found: Processes) -> None:
    here, there = await found.start(), await found.start()
    channel = await there.new_channel()
    await here.group_add("group", channel)
    await here.group_send("group", {"n": 1})
    assert await soon(there, channel) == {"n": 1}
    await here.group_discard("group", channel)
    await here.group_send("group", {"n": 2})
    await nothing_comes(there, channel)


async def test_a_channel_whose_process_is_gone_becomes_no_member(
    found: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = await found.start(), await found.start()
    channel = await there.new_channel()
    await found.stop(there)
    await here.group_add("group", channel)
    assert await here.group_count("group") == 0
    assert "its process is gone" in caplog.text
    await here.send(channel, {"n": 1})  # nobody is there; nobody knows


async def test_a_plain_channel_added_by_several_processes_gets_one_copy(found: Processes) -> None:
    layers = [await found.start() for _ in range(3)]
    for layer in layers:
        await layer.group_add("news", "archive")
    await members(layers[0], "news", 1)
    for number in range(3):
        await layers[1].group_send("news", {"n": number})
    assert [(await soon(layers[2], "archive"))["n"] for _ in range(3)] == [0, 1, 2]
    await nothing_comes(layers[2], "archive")
    assert await layers[0].group_count("news") == 2
    await layers[0].group_discard("news", "archive")
    await layers[0].group_send("news", {"n": 4})
    await nothing_comes(layers[1], "archive")


async def test_each_message_of_a_plain_channel_reaches_one_receiver(found: Processes) -> None:
    here, there, sender = [await found.start() for _ in range(3)]
    got: list[int] = []

    async def receive(layer: ChannelLayer) -> None:
        while True:
            got.append((await layer.receive("plain"))["n"])

    receivers = [asyncio.ensure_future(receive(layer)) for layer in (here, there, here)]
    for number in range(30):
        await sender.send("plain", {"n": number})
    await until(lambda: len(got) == 30)
    assert sorted(got) == list(range(30))
    for receiver in receivers:
        receiver.cancel()
    await asyncio.wait(receivers)


async def test_what_a_receiver_leaves_another_process_gets(found: Processes) -> None:
    here, there = await found.start(), await found.start()
    for number in range(10):
        waiting = asyncio.ensure_future(here.receive("plain"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await here.send("plain", {"n": number})
        assert await soon(there, "plain") == {"n": number}


async def test_delayed_messages_come_later(found: Processes) -> None:
    here, there = await found.start(), await found.start()
    local, remote = await here.new_channel(), await there.new_channel()
    for layer, channel in [(here, local), (there, remote), (there, "plain")]:
        await here.send(channel, {"n": 1}, delay=0.3)
        await nothing_comes(layer, channel)
        assert await soon(layer, channel) == {"n": 1}


async def test_flush_reaches_all_processes_and_no_other_layer(found: Processes) -> None:
    here, there, other = await found.start(), await found.start(), await found.start(prefix="x")
    (channel,) = await members(there, "group", 1)
    (theirs,) = await members(other, "group", 1)
    await there.send(channel, {"n": 1})
    await here.send("plain", {"n": 1})
    await other.send("plain", {"n": 2})
    await here.flush()
    assert await here.group_count("group") == 0
    await nothing_comes(there, channel)
    await nothing_comes(there, "plain")
    assert await other.group_channels("group") == [theirs]
    assert await soon(other, "plain") == {"n": 2}


async def test_a_full_channel_of_another_process_is_counted_there(
    found: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = await found.start(), await found.start(capacity=2)
    channel = await there.new_channel()
    for number in range(3):
        await here.send(channel, {"n": number})
    assert (await soon(there, channel))["n"] == 0
    await until(lambda: there._tally.counts["undelivered"] == 1)
    assert f"{channel} is full" in caplog.text


async def test_statistics_of_a_plain_channel(found: Processes) -> None:
    layer = await found.start(channel_capacity={"plain": 7})
    await layer.send("plain", {"n": 1})
    await layer.send("plain", {"n": 2}, delay=60)
    assert await layer.channel_statistics("plain") == {
        "waiting": 1, "delayed": 1, "held": 0, "capacity": 7,
    }  # fmt: skip
    channel = await layer.new_channel()
    await layer.send(channel, {"n": 1})
    assert (await layer.channel_statistics(channel))["waiting"] == 1


# What is not ours --------------------------------------------------------------------------------


async def test_rubbish_from_other_programs_is_skipped_and_counted(
    found: Processes, caplog: pytest.LogCaptureFixture
) -> None:
    layer = await found.start()
    (channel,) = await members(layer, "group", 1)
    node = layer._node
    assert node is not None
    for topic in ("g/group", "all", f"p/{layer._names.process}"):
        await node.hub.layer.publish(f"~channels/default/{topic}", b"\xc1 rubbish")
    await layer.group_send("group", {"n": 1})
    assert await soon(layer, channel) == {"n": 1}
    await until(lambda: layer._tally.counts["undelivered"] == 3)
    assert caplog.text.count("messages from other processes not delivered") == 1  # once a second


async def test_a_program_in_another_language_may_send_to_a_group(found: Processes) -> None:
    layer = await found.start()
    (channel,) = await members(layer, "group", 1)
    node = layer._node
    assert node is not None
    data = msgspec.msgpack.encode({"type": "chat.message", "text": "from elsewhere"})
    await node.hub.layer.publish("~channels/default/g/group", data)
    assert (await soon(layer, channel))["text"] == "from elsewhere"


# Hubs that come and go ---------------------------------------------------------------------------


async def test_memberships_outlive_the_home_in_which_they_began(found: Processes) -> None:
    sender = await found.start()
    layer = await found.start()
    (channel,) = await members(layer, "group", 1)
    home = layer._home()
    await home.release()
    await home.adopt()
    assert await layer.group_count("group") == 1  # the first use takes everything over
    await sender.group_send("group", {"n": 1})
    await sender.send(channel, {"n": 2})
    assert [(await soon(layer, channel))["n"] for _ in range(2)] == [1, 2]


async def test_a_receiver_learns_that_the_layer_was_closed(found: Processes) -> None:
    layer = await found.start()
    waiting = asyncio.ensure_future(layer.receive("plain"))
    await until(lambda: layer._node is not None and bool(layer._node._takers))
    await layer.close()
    with pytest.raises(LayerUnavailable):
        await asyncio.wait_for(waiting, 10)


async def test_nothing_is_left_when_all_have_left(found: Processes) -> None:
    layer, other = await found.start(), await found.start()
    for _ in range(3):
        channels = await members(layer, "group", 20)
        for channel in channels:
            layer.subscribe(channel, lambda message: None)
        await layer.group_send("group", {"n": 1})
        for channel in channels:
            layer.unsubscribe(channel)
    assert not layer._inboxes.all()
    node = layer._node
    assert node is not None
    assert not node.groups.by_name
    await other.group_send("group", {"n": 1})
    await until(lambda: not node._background.busy)
