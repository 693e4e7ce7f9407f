"""The Channels API from many threads and loops."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from asgiref.sync import async_to_sync

from seaway.layers.channels.layer import ChannelLayer
from seaway.layers.home import LayerHome
from seaway.layers.memory.layer import MemoryLayer
from tests.layers.channels.support import Anyone, Make, soon
from tests.waiting import until


async def test_senders_in_other_threads_reach_receivers_here(layer: Anyone) -> None:
    channel = await layer.new_channel()
    got: list[dict[str, Any]] = []
    subscribed = await layer.new_channel()
    layer.subscribe(subscribed, got.append)
    for name in (channel, subscribed):
        await layer.group_add("test-group", name)
    here = threading.current_thread()
    waiting = asyncio.ensure_future(layer.receive("plain"))

    def work() -> None:
        assert threading.current_thread() is not here
        async_to_sync(layer.group_send)("test-group", {"n": 1})
        async_to_sync(layer.send)(channel, {"n": 2})
        async_to_sync(layer.send)("plain", {"n": 3})

    await asyncio.get_running_loop().run_in_executor(None, work)
    assert [(await soon(layer, channel))["n"] for _ in range(2)] == [1, 2]
    assert await asyncio.wait_for(waiting, 10) == {"n": 3}
    await until(lambda: got == [{"n": 1}])


async def test_receivers_in_other_threads_and_loops(layer: Anyone) -> None:
    channel = await layer.new_channel()
    got: list[dict[str, Any]] = []

    def work() -> None:
        got.extend(async_to_sync(layer.receive)(name) for name in (channel, "plain"))

    thread = asyncio.get_running_loop().run_in_executor(None, work)
    await layer.send(channel, {"n": 1})
    await layer.send("plain", {"n": 2})
    await asyncio.wait_for(thread, 10)
    assert got == [{"n": 1}, {"n": 2}]


async def test_nothing_is_lost_or_doubled_between_many_threads(make: Make) -> None:
    layer = make(capacity=10_000)
    channel = await layer.new_channel()
    got: list[int] = []

    def send(start: int) -> None:
        async def all_() -> None:
            for number in range(start, start + 50):
                await layer.send(channel, {"n": number})

        asyncio.run(all_())

    def receive() -> None:
        async def all_() -> None:
            for _ in range(50):
                message = await asyncio.wait_for(layer.receive(channel), 20)
                got.append(message["n"])

        asyncio.run(all_())

    await asyncio.gather(
        *(asyncio.to_thread(send, start) for start in (0, 50, 100, 150)),
        *(asyncio.to_thread(receive) for _ in range(4)),
    )
    assert sorted(got) == list(range(200))


def layer_threads() -> int:
    """Those of other homes, too, that other tests have left behind."""
    return [one.name for one in threading.enumerate()].count("seaway-layer")


def test_each_call_may_have_a_loop_of_its_own() -> None:
    home = LayerHome(MemoryLayer)
    layer = ChannelLayer(lambda: home)
    before = layer_threads()
    channel = asyncio.run(layer.new_channel())
    asyncio.run(layer.group_add("test-group", channel))
    for number in range(50):
        async_to_sync(layer.group_send)("test-group", {"n": number})
    assert layer_threads() == before + 1
    got = [asyncio.run(layer.receive(channel))["n"] for _ in range(50)]
    assert got == list(range(50))
    home.close()
