"""Channels over the embedded broker when connections and processes are lost."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from seaway.exceptions import LayerUnavailable
from seaway.layers.local.place import Place, find_place
from seaway.layers.queues import QueueState
from seaway.testing.layer_contract import PATIENCE, TOPIC, Process, eventually, started
from tests.layers.local.support import (
    Worker,
    broker_pid,
    cut,
    frozen,
    kill_broker,
    local_layer,
)

CHANNEL = "thumbnails"
Start = Callable[[], Awaitable[Process]]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return find_place("queues", tmp_path)


@pytest.fixture
async def start(place: Place) -> AsyncIterator[Start]:
    processes: list[Process] = []

    async def start() -> Process:
        processes.append(await started(local_layer(place)))
        return processes[-1]

    yield start
    for process in processes:
        await process.layer.close()


async def written() -> None:
    """Let tasks that were just made have their requests written."""
    for _ in range(5):
        await asyncio.sleep(0)


# The connection is lost, the broker is not -------------------------------------------------------


async def test_what_was_on_its_way_is_done_once(place: Place, start: Start) -> None:
    here = await start()
    await here.layer.publish(TOPIC, b"before")
    with frozen(broker_pid(place)):
        asked = [
            asyncio.create_task(here.layer.publish(TOPIC, b"x")),
            asyncio.create_task(here.layer.send(CHANNEL, b"x")),
        ]
        await written()
        cut(here.layer)
    position, id_ = await asyncio.gather(*asked)
    assert position == await here.layer.position(TOPIC)
    assert await here.layer.queue_state(CHANNEL) == QueueState(waiting=1)
    [delivery] = await here.layer.receive(CHANNEL)
    assert delivery.id == id_


async def test_a_waiting_receiver_waits_on(start: Start) -> None:
    here, there = await start(), await start()
    waiting = asyncio.create_task(here.layer.receive(CHANNEL, wait=math.inf))
    await written()
    cut(here.layer)
    await there.layer.send(CHANNEL, b"x")
    assert [delivery.data for delivery in await waiting] == [b"x"]


async def test_a_waiting_sender_waits_on_and_sends_once(start: Start) -> None:
    here, there = await start(), await start()
    await here.layer.send(CHANNEL, b"0", capacity=1)
    waiting = asyncio.create_task(here.layer.send(CHANNEL, b"1", capacity=1, wait=math.inf))
    await written()
    cut(here.layer)
    for data in (b"0", b"1"):
        [delivery] = await there.layer.receive(CHANNEL, wait=PATIENCE)
        assert delivery.data == data
        assert await there.layer.ack(delivery)
    await waiting
    assert await there.layer.queue_state(CHANNEL) == QueueState()


async def test_what_was_handed_out_when_the_connection_was_lost_arrives(
    place: Place, start: Start
) -> None:
    here = await start()
    await here.layer.send(CHANNEL, b"x")
    with frozen(broker_pid(place)):
        receiving = asyncio.create_task(here.layer.receive(CHANNEL))
        await written()
        cut(here.layer)
    [delivery] = await receiving
    assert (delivery.data, delivery.attempt) == (b"x", 1)
    assert await here.layer.ack(delivery)


async def test_what_is_held_is_still_held_after_a_short_loss(start: Start) -> None:
    here, there = await start(), await start()
    await here.layer.send(CHANNEL, b"x")
    [delivery] = await here.layer.receive(CHANNEL)
    cut(here.layer)
    await here.layer.queue_state(CHANNEL)
    assert list(await there.layer.receive(CHANNEL, wait=0.1)) == []
    assert await here.layer.ack(delivery)


async def test_a_receiver_given_up_while_the_connection_was_lost_keeps_nothing(
    place: Place, start: Start
) -> None:
    here, there = await start(), await start()
    await there.layer.send(CHANNEL, b"x")
    with frozen(broker_pid(place)):
        receiving = asyncio.create_task(here.layer.receive(CHANNEL, lease=600))
        await written()
        cut(here.layer)
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
    [delivery] = await there.layer.receive(CHANNEL, wait=PATIENCE)
    assert (delivery.data, delivery.attempt) == (b"x", 1)


# A process ends ----------------------------------------------------------------------------------


async def test_what_a_killed_process_held_goes_to_others(place: Place, start: Start) -> None:
    here = await start()
    worker = await Worker.start(place)
    await here.layer.send(CHANNEL, b"x")
    assert await worker.do(f"receive {CHANNEL}") == "received x"
    worker.kill()
    [delivery] = await here.layer.receive(CHANNEL, wait=PATIENCE)  # its lease was 600 seconds
    assert (delivery.data, delivery.attempt) == (b"x", 2)
    await worker.end()


async def test_a_process_that_stands_still_is_given_nothing(place: Place, start: Start) -> None:
    here = await start()
    lease = 1.0
    worker = await Worker.start(place, "--lease", str(lease))
    receiving = asyncio.create_task(worker.do(f"receive {CHANNEL}"))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    # It waits at the broker before it is stopped, and for longer than it may be silent afterwards.
    await eventually(lambda: _value(loop.time() - begun), lambda passed: passed > lease / 2)
    with frozen(worker.process.pid):
        begun = loop.time()
        await eventually(lambda: _value(loop.time() - begun), lambda passed: passed > lease)
        await here.layer.send(CHANNEL, b"x")
        [delivery] = await here.layer.receive(CHANNEL, wait=PATIENCE)
        assert (delivery.data, delivery.attempt) == (b"x", 1)
        await here.layer.send(CHANNEL, b"y")
    assert await receiving == "received y"
    await worker.end()


async def _value(value: float) -> float:
    return value


async def test_what_a_closed_layer_held_goes_to_others(start: Start) -> None:
    here, there = await start(), await start()
    await here.layer.send(CHANNEL, b"x")
    [delivery] = await here.layer.receive(CHANNEL, lease=600)
    await here.layer.close()
    [again] = await there.layer.receive(CHANNEL, wait=PATIENCE)
    assert (again.id, again.attempt) == (delivery.id, 2)


# The broker is lost ------------------------------------------------------------------------------


async def test_a_send_to_a_lost_broker_is_not_repeated(place: Place, start: Start) -> None:
    here = await start()
    with frozen(broker_pid(place)):
        sending = asyncio.create_task(here.layer.send(CHANNEL, b"x"))
        await written()
        kill_broker(place)
    with pytest.raises(LayerUnavailable, match="Whether the message was sent is not known"):
        await sending
    assert await here.layer.queue_state(CHANNEL) == QueueState()


async def test_a_send_with_once_is_repeated(place: Place, start: Start) -> None:
    here = await start()
    with frozen(broker_pid(place)):
        sending = asyncio.create_task(here.layer.send(CHANNEL, b"x", once="k"))
        await written()
        kill_broker(place)
    id_ = await sending
    [delivery] = await here.layer.receive(CHANNEL, wait=PATIENCE)
    assert delivery.id == id_


async def test_a_receiver_waits_for_the_next_broker(place: Place, start: Start) -> None:
    here, there = await start(), await start()
    waiting = asyncio.create_task(here.layer.receive(CHANNEL, wait=math.inf))
    await written()
    kill_broker(place)

    async def sent() -> bool:
        try:
            return bool(await there.layer.send(CHANNEL, b"x"))
        except LayerUnavailable:  # it was on its way to the one that was killed
            return False

    await eventually(sent, bool)
    assert [delivery.data for delivery in await waiting] == [b"x"]


async def test_a_receiver_without_any_broker_learns_of_it(place: Place, start: Start) -> None:
    here = await start()
    here.layer.timeout = 0.3
    waiting = asyncio.create_task(here.layer.receive(CHANNEL, wait=math.inf))
    await written()
    kill_broker(place)
    place.directory.rename(place.directory.with_name("away"))
    place.directory.touch()  # nothing can be started here
    with pytest.raises(LayerUnavailable, match="cannot be reached"):
        await asyncio.wait_for(waiting, PATIENCE)
