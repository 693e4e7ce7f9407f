"""The local layer through faults: brokers and processes that are killed, frozen or slow."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import Gap, History
from seaway.layers.local import wire
from seaway.layers.local.client import LocalLayer
from seaway.layers.local.place import Place, find_place
from seaway.layers.local.session import MAX_BUFFER
from seaway.testing.layer_contract import KEPT, TOPIC, Process, eventually, started
from tests.layers.local.support import Worker, broker_pid, frozen, kill_broker, local_layer

Start = Callable[[], Awaitable[Process]]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return find_place("client", tmp_path)


@pytest.fixture
async def start(place: Place) -> AsyncIterator[Start]:
    processes: list[Process] = []

    async def start() -> Process:
        processes.append(await started(local_layer(place)))
        return processes[-1]

    yield start
    for process in processes:
        await process.layer.close()


@pytest.fixture
async def worker(place: Place) -> AsyncIterator[Worker]:
    worker = await Worker.start(place)
    yield worker
    await worker.end()


# The broker is killed ----------------------------------------------------------------------------


async def test_a_killed_broker_is_replaced_and_everybody_is_told(
    place: Place, start: Start
) -> None:
    here, there = await start(), await start()
    old = await here.layer.publish(TOPIC, b"before", KEPT)
    await there.layer.watch(TOPIC)
    await there.layer.watch("another")
    kill_broker(place)

    await there.heard.until(lambda: len(there.heard.restorations) == 2)
    assert {topic for topic, _ in there.heard.restorations} == {TOPIC, "another"}
    epochs = {position.epoch for _, position in there.heard.restorations}
    assert old.epoch not in epochs
    assert isinstance(await there.layer.read(TOPIC, old), Gap)

    # Only after it was told did it hear of the new life.
    await there.heard.until(lambda: there.heard.data() == [])
    position = await here.layer.position(TOPIC)
    assert position.offset == 0
    await here.layer.publish(TOPIC, b"after", KEPT)
    await there.heard.until(lambda: there.heard.data() == [b"after"])


async def test_members_enter_the_new_broker_by_themselves(place: Place, start: Start) -> None:
    here, there = await start(), await start()
    await here.layer.enter(TOPIC, "ann", b"A")
    await here.layer.enter(TOPIC, "gone", b"G")
    await here.layer.leave(TOPIC, "gone")
    await there.layer.enter(TOPIC, "bob", b"B")
    kill_broker(place)
    everybody = {"ann": b"A", "bob": b"B"}
    await eventually(lambda: here.layer.members(TOPIC), lambda found: found == everybody)
    await eventually(lambda: there.layer.members(TOPIC), lambda found: found == everybody)


async def test_its_own_members_are_back_before_a_topic_is_restored(
    place: Place, start: Start
) -> None:
    here = await start()
    await here.layer.watch(TOPIC)
    for n in range(50):
        await here.layer.enter(TOPIC, f"member-{n}", b"x" * 50_000)
    kill_broker(place)
    await here.heard.until(lambda: len(here.heard.restorations) == 1)
    assert len(await here.layer.members(TOPIC)) == 50


async def test_an_unwatched_topic_is_not_restored(place: Place, start: Start) -> None:
    here = await start()
    await here.layer.watch(TOPIC)
    await here.layer.watch("another")
    await here.layer.unwatch(TOPIC)
    kill_broker(place)
    await here.heard.until(lambda: len(here.heard.restorations) == 1)
    assert [topic for topic, _ in here.heard.restorations] == ["another"]


async def test_what_was_asked_amid_the_loss_is_answered(place: Place, start: Start) -> None:
    here = await start()
    with frozen(broker_pid(place)):
        asked = [
            asyncio.create_task(here.layer.watch(TOPIC)),
            asyncio.create_task(here.layer.enter(TOPIC, "ann", b"A")),
            asyncio.create_task(here.layer.position(TOPIC)),
        ]
        await written()  # and never read by this broker
        kill_broker(place)
    position, _, same = await asyncio.gather(*asked)
    assert position == same
    assert await here.layer.members(TOPIC) == {"ann": b"A"}
    published = await here.layer.publish(TOPIC, b"x")
    await here.heard.until(lambda: here.heard.positions() == [published])


async def test_a_publish_that_was_on_its_way_is_not_made_twice(place: Place, start: Start) -> None:
    here = await start()
    with frozen(broker_pid(place)):
        publishing = asyncio.create_task(here.layer.publish(TOPIC, b"x"))
        await written()
        kill_broker(place)
    with pytest.raises(LayerUnavailable, match="Whether the event was published is not known"):
        await publishing
    assert (await here.layer.position(TOPIC)).offset == 0


async def test_a_publish_that_was_not_sent_waits_for_the_new_broker(
    place: Place, start: Start
) -> None:
    here = await start()
    await here.layer.watch(TOPIC)
    kill_broker(place)
    await eventually(lost(here), bool)
    position = await here.layer.publish(TOPIC, b"x")
    assert position.offset == 1
    await here.heard.until(lambda: here.heard.positions() == [position])


async def written() -> None:
    """Let tasks that were just made run, ask, and have their requests written: three turns."""
    for _ in range(5):
        await asyncio.sleep(0)


def lost(process: Process) -> Callable[[], Awaitable[bool]]:
    layer = process.layer
    assert isinstance(layer, LocalLayer)

    async def lost() -> bool:
        return not layer.connected

    return lost


async def test_without_any_broker_operations_fail_after_the_timeout(
    place: Place, start: Start
) -> None:
    here = await start()
    here.layer.timeout = 0.3
    kill_broker(place)
    place.directory.rename(place.directory.with_name("away"))
    place.directory.touch()  # nothing can be started here
    await eventually(lost(here), bool)
    attempts = [here.layer.publish(TOPIC, b"x"), here.layer.watch(TOPIC), here.layer.members(TOPIC)]
    for outcome in await asyncio.gather(*attempts, return_exceptions=True):
        assert isinstance(outcome, LayerUnavailable)
        assert "cannot be reached" in str(outcome)
        assert "not known" not in str(outcome)

    here.layer.timeout = 30
    place.directory.unlink()
    assert (await eventually(lambda: here.layer.publish(TOPIC, b"x"), bool)).offset == 1
    assert here.heard.restorations == []


async def test_a_broker_that_does_not_answer_is_unavailable_and_then_back(
    place: Place, start: Start
) -> None:
    here = await start()
    position = await here.layer.publish(TOPIC, b"x", KEPT)
    here.layer.timeout = 0.3
    with frozen(broker_pid(place)):
        reading = here.layer.position(TOPIC)
        publishing = here.layer.publish(TOPIC, b"y", KEPT)
        outcomes = await asyncio.gather(reading, publishing, return_exceptions=True)
    for outcome in outcomes:
        assert isinstance(outcome, LayerUnavailable)
    assert "Whether the event was published is not known" in str(outcomes[1])
    here.layer.timeout = 30
    assert (await here.layer.position(TOPIC)).epoch == position.epoch


# A process is killed, frozen, or slow ------------------------------------------------------------


async def test_members_of_a_killed_process_leave_at_once(start: Start, worker: Worker) -> None:
    here = await start()
    await here.layer.watch(TOPIC)
    assert await worker.do(f"enter {TOPIC} ann") == "done"
    await here.heard.until(lambda: here.heard.present() == {"ann": b"{}"})
    before = time.monotonic()
    worker.kill()
    await here.heard.until(lambda: here.heard.present() == {})
    assert time.monotonic() - before < 30  # its lease is 60
    assert await here.layer.members(TOPIC) == {}


async def test_members_of_a_frozen_process_leave_and_come_back_with_it(
    place: Place, start: Start
) -> None:
    here = await start()
    await here.layer.watch(TOPIC)
    worker = await Worker.start(place, "--lease", "0.3")
    await worker.do(f"enter {TOPIC} ann")
    await here.heard.until(lambda: here.heard.present() == {"ann": b"{}"})
    with frozen(worker.pid):
        await here.heard.until(lambda: here.heard.present() == {})
    await here.heard.until(lambda: here.heard.present() == {"ann": b"{}"})
    await worker.end()


async def test_a_killed_publisher_leaves_no_hole(start: Start, worker: Worker) -> None:
    here = await start()
    watched = await here.layer.watch(TOPIC)
    doing = asyncio.create_task(worker.do(f"publish {TOPIC} 1000000"))
    await here.heard.until(lambda: len(here.heard.positions()) > 50)
    worker.kill()
    await doing
    last = await here.layer.position(TOPIC)
    await here.heard.until(lambda: here.heard.positions()[-1] == last)
    offsets = [position.offset for position in here.heard.positions()]
    assert offsets == list(range(watched.offset + 1, last.offset + 1))


async def test_a_process_that_does_not_read_is_disconnected_and_recovers(
    start: Start, worker: Worker
) -> None:
    here = await start()
    assert await worker.do(f"watch {TOPIC}") == "done"
    count = MAX_BUFFER // 2**19 + 20
    with frozen(worker.pid):
        for _ in range(count):
            await here.layer.publish(TOPIC, b"x" * 2**19, History(size=count, seconds=600))
    before = await worker.says_at_last(f"recovered {count}")
    assert f"restored {count}" in before
    events = [line for line in before if line.startswith("event")]
    assert events == [f"event {n}" for n in range(1, count + 1)]


async def test_a_lone_request_goes_at_once_and_others_together(start: Start) -> None:
    here = await start()
    assert isinstance(here.layer, LocalLayer)
    await here.layer.position(TOPIC)  # whatever was under way has been answered
    requests = here.layer._requests
    assert requests is not None
    asked = [requests.ask(wire.Where(requests.next_id(), TOPIC), 60.0) for _ in range(3)]
    assert [request.written for request in requests._pending.values()] == [True, False, False]
    assert [isinstance(answer, wire.At) for answer in await asyncio.gather(*asked)] == [True] * 3
    assert not requests._pending


# Giving up in the middle -------------------------------------------------------------------------


async def test_a_watch_that_was_given_up_is_ended(place: Place, start: Start) -> None:
    here, there = await start(), await start()
    with frozen(broker_pid(place)):
        watching = asyncio.create_task(here.layer.watch(TOPIC))
        await written()
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
    await here.layer.watch("another")
    await there.layer.publish(TOPIC, b"x")
    await there.layer.publish("another", b"y")
    await here.heard.until(lambda: here.heard.data("another") == [b"y"])
    assert here.heard.data() == []


async def test_an_event_that_was_on_its_way_when_its_watch_ended_is_not_heard(start: Start) -> None:
    here = await start()
    assert isinstance(here.layer, LocalLayer)
    position = await here.layer.watch(TOPIC)
    late = wire.Published(TOPIC, position.epoch, 1, [b"x"])
    here.layer.replied(late)
    assert here.heard.data() == [b"x"]
    await here.layer.unwatch(TOPIC)
    here.layer.replied(late)
    assert here.heard.data() == [b"x"]


async def test_a_member_whose_entry_was_given_up_is_not_there(place: Place, start: Start) -> None:
    here = await start()
    await here.layer.enter(TOPIC, "bob", b"old")
    with frozen(broker_pid(place)):
        entering = [
            asyncio.create_task(here.layer.enter(TOPIC, "ann", b"A")),
            asyncio.create_task(here.layer.enter(TOPIC, "bob", b"new")),
        ]
        await written()
        for task in entering:
            task.cancel()
        await asyncio.gather(*entering, return_exceptions=True)
    assert await here.layer.members(TOPIC) == {"bob": b"old"}


async def test_a_publish_that_was_given_up_before_it_was_sent_is_not_made(
    place: Place, start: Start
) -> None:
    here = await start()
    publishing = asyncio.create_task(here.layer.publish(TOPIC, b"x"))
    asyncio.get_running_loop().call_soon(publishing.cancel)
    await asyncio.gather(publishing, return_exceptions=True)
    assert (await here.layer.publish(TOPIC, b"y")).offset == 1


async def test_closing_ends_what_is_still_asked(place: Place, start: Start) -> None:
    here = await start()
    with frozen(broker_pid(place)):
        asking = asyncio.create_task(here.layer.position(TOPIC))
        await written()
        await here.layer.close()
        with pytest.raises(LayerUnavailable, match="closed"):
            await asking


# On the server's own kind of loop ----------------------------------------------------------------


def test_the_same_on_uvloop(place: Place) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def scenario() -> None:
        here = await started(local_layer(place))
        there = await started(local_layer(place))
        await there.layer.watch(TOPIC)
        await here.layer.enter(TOPIC, "ann", b"A")
        await here.layer.publish(TOPIC, b"x" * 2**20, KEPT)
        await there.heard.until_count(1)
        kill_broker(place)
        await there.heard.until(lambda: len(there.heard.restorations) == 1)
        await eventually(lambda: there.layer.members(TOPIC), lambda found: found == {"ann": b"A"})
        await eventually(lost(here), lambda gone: not gone)
        await asyncio.gather(*(here.layer.publish(TOPIC, b"%d" % n) for n in range(100)))
        await there.heard.until_count(101)
        assert there.heard.data()[1:] == [b"%d" % n for n in range(100)]
        await here.layer.close()
        await eventually(lambda: there.layer.members(TOPIC), lambda found: found == {})
        await there.layer.close()

    uvloop.run(scenario())
