"""A broker whose queues and history outlive it: killed, ended, and without room on the disk."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from seaway.exceptions import ConfigurationError, LayerUnavailable
from seaway.layers.base import History, Page, Position
from seaway.layers.local.place import Durable, Place, find_place
from seaway.layers.queues import QueueState
from seaway.testing.layer_contract import (
    KEPT,
    PATIENCE,
    TOPIC,
    Process,
    QueueFlowContract,
    ReadingContract,
    Recorder,
    started,
)
from tests.layers.local.support import (
    Worker,
    broker_lives,
    broker_pid,
    frozen,
    kill_broker,
    local_layer,
)
from tests.waiting import until

CHANNEL = "thumbnails"
Start = Callable[[], Awaitable[Process]]


class TestDurableLocalLayer(QueueFlowContract, ReadingContract):
    """What is held back until it is written is the same as before."""

    @pytest.fixture(autouse=True)
    def own_directory(self, tmp_path: Path) -> None:
        self.place = find_place("durable", tmp_path)

    async def make_layers(self, count: int) -> list[Process]:
        return [await started(local_layer(self.place, Durable.PROCESS)) for _ in range(count)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return find_place("durable", tmp_path)


@pytest.fixture(params=[Durable.PROCESS, Durable.MACHINE])
async def start(place: Place, request: pytest.FixtureRequest) -> AsyncIterator[Start]:
    processes: list[Process] = []

    async def start() -> Process:
        processes.append(await started(local_layer(place, request.param)))
        return processes[-1]

    yield start
    for process in processes:
        await process.layer.close()


async def read_all(process: Process, since: Position) -> list[bytes]:
    page = await process.layer.read(TOPIC, since, limit=10_000)
    assert isinstance(page, Page), page
    return [publication.data for publication in page.publications]


async def test_history_outlives_the_broker(place: Place, start: Start) -> None:
    here = await start()
    watched = await here.layer.watch(TOPIC)
    small = History(size=3, seconds=600)
    for n in range(5):
        await here.layer.publish(TOPIC, b"%d" % n, KEPT)
        await here.layer.publish("small", b"%d" % n, small)
        last = await here.layer.publish("without", b"x")
    kill_broker(place)
    await here.heard.until(lambda: bool(here.heard.restorations))
    assert here.heard.restorations == [(TOPIC, Position(watched.epoch, 5))]
    assert await read_all(here, watched) == [b"0", b"1", b"2", b"3", b"4"]
    found = await here.layer.read("small", Position(watched.epoch, 2))
    assert isinstance(found, Page)
    assert [publication.data for publication in found.publications] == [b"2", b"3", b"4"]
    assert await here.layer.position("without") == last
    assert await here.layer.publish(TOPIC, b"5", KEPT) == Position(watched.epoch, 6)


async def test_who_saw_an_unused_topic_resumes_after_the_end_of_the_broker(
    place: Place, start: Start
) -> None:
    here = await start()
    before = await here.layer.position(TOPIC)
    kill_broker(place)
    assert await here.layer.position(TOPIC) == before
    await here.layer.publish(TOPIC, b"first", KEPT)
    assert await read_all(here, before) == [b"first"]


async def test_channels_outlive_the_broker(place: Place, start: Start) -> None:
    here = await start()
    layer = here.layer
    held_id = await layer.send(CHANNEL, b"held", order="a", once="k")
    await layer.send(CHANNEL, b"behind", order="a")
    await layer.send(CHANNEL, b"dead")
    await layer.send(CHANNEL, b"done")
    held, dead, done = await layer.receive(CHANNEL, limit=3, lease=600)
    await layer.nack(dead, dead=True, reason="broken")
    await layer.ack(done)
    await layer.send(CHANNEL, b"late", delay=600)
    await layer.send(CHANNEL, b"short", ttl=600)
    await layer.close_channel("closed")
    state = await layer.queue_state(CHANNEL)
    assert state == QueueState(waiting=2, delayed=1, held=1, dead=1)
    [letter] = await layer.dead_letters(CHANNEL)
    kill_broker(place)
    assert await layer.queue_state(CHANNEL) == state
    assert await layer.dead_letters(CHANNEL) == [letter]
    assert list(await layer.channels()) == ["closed", CHANNEL]
    assert await layer.send(CHANNEL, b"again", once="k") == held_id
    [short] = await layer.receive(CHANNEL, limit=5)
    assert short.data == b"short"
    assert await layer.ack(held)
    [behind] = await layer.receive(CHANNEL, limit=5)
    assert (behind.data, behind.attempt) == (b"behind", 1)


async def test_a_lease_goes_on_while_there_is_no_broker(place: Place, start: Start) -> None:
    here = await start()
    await here.layer.send(CHANNEL, b"x")
    await here.layer.receive(CHANNEL, lease=0.5)
    kill_broker(place)
    [delivery] = await here.layer.receive(CHANNEL, wait=PATIENCE)
    assert (delivery.data, delivery.attempt) == (b"x", 2)


async def test_what_was_held_by_who_ended_with_the_broker_goes_to_others(
    place: Place, start: Start
) -> None:
    here = await start()
    worker = await Worker.start(place)
    await here.layer.send(CHANNEL, b"mine")
    await here.layer.send(CHANNEL, b"x")
    [mine] = await here.layer.receive(CHANNEL, lease=600)
    assert await worker.do(f"receive {CHANNEL}") == "received x"  # with a lease of 600 seconds
    with frozen(broker_pid(place)):
        worker.kill()
        kill_broker(place)
    [delivery] = await here.layer.receive(CHANNEL, wait=2 * PATIENCE)
    assert (delivery.data, delivery.attempt) == (b"x", 2)
    assert await here.layer.ack(mine)
    await worker.end()


async def test_they_outlive_a_broker_that_nobody_used_any_more(place: Place, start: Start) -> None:
    here = await start()
    position = await here.layer.publish(TOPIC, b"x", KEPT)
    await here.layer.send(CHANNEL, b"x")
    await here.layer.close()
    await until(lambda: not broker_lives(place), 2 * PATIENCE)
    there = await start()
    assert await there.layer.position(TOPIC) == position
    assert await there.layer.queue_state(CHANNEL) == QueueState(waiting=1)


class Storm:
    """Publishers and senders that note what they were told, while the broker is killed."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.published: dict[int, bytes] = {}
        self.sent: set[bytes] = set()
        self.over = False

    async def work(self, name: int) -> None:
        n = 0
        while not self.over:
            n += 1
            data = b"%d-%d" % (name, n)
            try:
                position = await self.process.layer.publish(TOPIC, data, History(10_000, 600))
                assert position.offset not in self.published
                self.published[position.offset] = data
                await self.process.layer.send(CHANNEL, data)
                self.sent.add(data)
            except LayerUnavailable as error:
                assert "not known" in str(error)  # noqa: PT017  either outcome is right

    async def more(self) -> None:
        enough = len(self.published) + 50
        await until(lambda: len(self.published) > enough, PATIENCE)


async def test_whoever_was_told_so_finds_it_after_any_kill(place: Place, start: Start) -> None:
    here, there = await start(), await start()
    watched = await there.layer.watch(TOPIC)
    storm = Storm(here)
    working = [asyncio.create_task(storm.work(name)) for name in range(8)]
    for _ in range(3):
        await storm.more()
        kills = len(there.heard.restorations) + 1
        kill_broker(place)
        await until(lambda kills=kills: len(there.heard.restorations) == kills, PATIENCE)  # type: ignore[misc]  # its default is the loop's
    storm.over = True
    await asyncio.gather(*working)
    history = await read_all(here, watched)
    assert {offset: history[offset - 1] for offset in storm.published} == storm.published
    received: list[bytes] = []
    while found := await here.layer.receive(CHANNEL, limit=1000):
        received += [delivery.data for delivery in found]
    assert storm.sent <= set(received)
    assert len(received) == len(set(received))
    # What a watcher was told is what stands in history.
    for position, data in zip(there.heard.positions(), there.heard.data(), strict=True):
        assert history[position.offset - 1] == data


async def test_a_journal_that_cannot_be_written_ends_the_broker(place: Place, start: Start) -> None:
    here = await start()
    position = await here.layer.publish(TOPIC, b"x", KEPT)
    pid = broker_pid(place)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (10_000, 10_000))
    with pytest.raises(LayerUnavailable, match="not known"):
        await here.layer.publish(TOPIC, b"y" * 100_000, KEPT)
    assert await here.layer.position(TOPIC) == position
    assert broker_pid(place) != pid
    assert "cannot be written" in place.log.read_text()


async def test_a_file_that_is_no_journal_is_left_alone(place: Place) -> None:
    place.prepare()
    place.journal.write_bytes(b"somebody's text " * 1000)
    layer = local_layer(place, Durable.PROCESS)
    with pytest.raises(LayerUnavailable, match=r"journal\.sqlite3 cannot be used"):
        await layer.start(Recorder())
    assert place.journal.read_bytes() == b"somebody's text " * 1000


async def test_a_damaged_journal_is_told_to_who_asks_and_left_alone(place: Place) -> None:
    process = await started(local_layer(place, Durable.PROCESS))
    for number in range(2000):
        await process.layer.publish(TOPIC, b"%d" % number, KEPT)
    await process.layer.close()
    await until(lambda: not broker_lives(place), 2 * PATIENCE)
    sound = place.journal.read_bytes()
    damaged = sound[:8192] + b"\xff" * 12000 + sound[20192:]
    place.journal.write_bytes(damaged)
    layer = local_layer(place, Durable.PROCESS)
    with pytest.raises(LayerUnavailable, match=r"journal\.sqlite3 is damaged .* move it away"):
        await layer.start(Recorder())
    assert place.journal.read_bytes() == damaged
    place.journal.write_bytes(sound)
    await layer.start(Recorder())
    assert (await layer.position(TOPIC)).offset == 2000
    await layer.close()


async def test_a_broker_that_is_less_durable_is_not_good_enough(place: Place) -> None:
    plain = await started(local_layer(place))
    layer = local_layer(place, Durable.PROCESS)
    with pytest.raises(ConfigurationError, match=f"process {broker_pid(place)}"):
        await layer.start(Recorder())
    await plain.layer.close()
    await until(lambda: not broker_lives(place), 2 * PATIENCE)
    await layer.start(Recorder())
    await layer.close()
