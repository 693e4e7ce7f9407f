"""What happens to the engine, and what clients see of it: everything once, or that of a gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from soak.cable import Cable

from seaway.exceptions import LayerError, LayerUnavailable
from seaway.layers.base import Gap, Headcount, Page
from seaway.layers.redis import keys, news, pipe
from seaway.testing.layer_contract import Process, eventually
from tests.layers.following import KEPT, Follower, Publisher
from tests.layers.redis.support import connected, engine_of, namespace, processes, redis_layer
from tests.servers.valkey import SentinelTrio, Valkey, ValkeyCluster
from tests.waiting import until

TOPIC = "halls/1/seats"


class Hall:
    """A publisher and two followers, each in a process of its own."""

    def __init__(self, publisher: Publisher, followers: list[Follower]) -> None:
        self.publisher = publisher
        self.followers = followers
        self.end = asyncio.Event()

    async def settle(self) -> None:
        """Publish a last event, wait until everybody has it, and check the promise."""
        self.end.set()
        for follower in self.followers:
            await follower.until_current(self.publisher)
        last = await self.publisher.last()
        for follower in self.followers:
            await follower.until_got(last)
            follower.check(self.publisher.told)

    @property
    def gaps(self) -> list[int]:
        return [follower.gaps for follower in self.followers]


@asynccontextmanager
async def hall(url: str, *, publishing: bool = True) -> AsyncIterator[Hall]:
    name = namespace()
    followers = [await Follower(redis_layer(url, name), TOPIC).start() for _ in range(2)]
    [source] = await processes(url, 1, name)
    publisher = Publisher(source.layer, TOPIC)
    scene = Hall(publisher, followers)
    task = asyncio.create_task(publisher.publish_until(scene.end)) if publishing else None
    if task is not None:
        await until(lambda: all(len(one.got()) > 20 for one in followers))
    try:
        yield scene
    finally:
        scene.end.set()
        if task is not None:
            await task
        for follower in followers:
            await follower.stop()
        await source.layer.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent server is given up, and a lost subscription looked for, within a second."""
    monkeypatch.setattr(pipe, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(pipe, "SILENT_SECONDS", 0.6)
    monkeypatch.setattr(news, "CHECK_SECONDS", 0.3)


async def test_a_server_killed_and_started_anew_has_a_gap(own_valkey: Valkey) -> None:
    async with hall(own_valkey.url) as scene:
        own_valkey.kill()
        await until(lambda: not connected(scene.publisher.layer))
        own_valkey.server.start()
        await scene.settle()
        assert scene.gaps == [1, 1]


async def test_what_persistence_brings_back_is_not_counted_on(tmp_path: Path) -> None:
    """It may lack the last second: an offset could be given twice."""
    server = Valkey(tmp_path / "v", "--appendonly", "yes").start()
    try:
        async with hall(server.url) as scene:
            await scene.followers[0].hub.layer.send("work", b"kept")
            server.kill()
            server.server.start()
            await scene.settle()
            assert scene.gaps == [1, 1]
            [delivery] = await scene.followers[1].hub.layer.receive("work", wait=10)
            assert delivery.data == b"kept"
    finally:
        server.kill()


async def test_a_server_that_hangs_loses_nothing(own_valkey: Valkey, impatient: None) -> None:
    async with hall(own_valkey.url) as scene:
        before = scene.followers[0].hub.layer
        own_valkey.server.pause()
        await until(lambda: not connected(before))
        own_valkey.server.resume()
        await scene.settle()
        assert scene.gaps == [0, 0]
        assert scene.publisher.failures == 0


async def test_answers_that_get_lost_are_asked_for_again(own_valkey: Valkey) -> None:
    """The publish has happened, and the publisher does not know: it must not happen twice."""
    cable = await Cable(("127.0.0.1", own_valkey.port)).start()
    name = namespace()
    follower = await Follower(redis_layer(own_valkey.url, name), TOPIC).start()
    [source] = await processes(f"redis://127.0.0.1:{cable.port}", 1, name)
    try:
        first = await source.layer.publish(TOPIC, b"e0", KEPT)
        cable.lose_answers()
        doing = [
            asyncio.create_task(source.layer.publish(TOPIC, b"e%d" % n, KEPT)) for n in range(1, 6)
        ]
        sending = asyncio.create_task(source.layer.send("work", b"once"))
        await follower.until_got(b"e5")
        cable.reset()
        cable.carry()
        positions = await asyncio.gather(*doing)
        assert [position.offset for position in positions] == [2, 3, 4, 5, 6]
        assert {position.epoch for position in positions} == {first.epoch}
        await sending
        assert (await source.layer.queue_state("work")).waiting == 1
        assert follower.got() == [b"e%d" % n for n in range(6)]

        cable.lose_answers()
        receiving = asyncio.create_task(source.layer.receive("work"))
        other = follower.hub.layer

        async def held() -> bool:
            return (await other.queue_state("work")).held == 1

        await eventually(held, bool)
        cable.reset()
        cable.carry()
        [delivery] = await receiving
        assert (delivery.data, delivery.attempt) == (b"once", 1)
        cable.lose_answers()
        acknowledging = asyncio.create_task(source.layer.ack(delivery))
        await eventually(held, lambda there: not there)
        cable.reset()
        cable.carry()
        assert await acknowledging
    finally:
        await follower.stop()
        await source.layer.close()
        await cable.close()


async def test_a_cut_network_is_noticed_and_made_up_for(valkey: Valkey, impatient: None) -> None:
    cable = await Cable(("127.0.0.1", valkey.port)).start()
    name = namespace()
    follower = await Follower(redis_layer(f"redis://127.0.0.1:{cable.port}", name), TOPIC).start()
    [source] = await processes(valkey.url, 1, name)
    publisher = Publisher(source.layer, TOPIC)
    try:
        await follower.until_got(await publisher.last())
        cable.lose()
        for _ in range(200):
            await publisher.publish()
        layer = follower.hub.layer
        await until(lambda: not connected(layer))
        cable.reset()
        cable.carry()
        await follower.until_got(publisher.told[-1])
        follower.check(publisher.told)
        assert follower.gaps == 0
    finally:
        await follower.stop()
        await source.layer.close()
        await cable.close()


async def test_a_subscription_lost_in_silence_is_found(valkey: Valkey, impatient: None) -> None:
    async with hall(valkey.url, publishing=False) as scene:
        await scene.followers[0].until_got(await scene.publisher.last())
        engine = engine_of(scene.followers[0].hub.layer)
        channel = keys.stream_keys(engine.root, TOPIC)[0]
        subscription = engine.news.get(channel)
        assert subscription is not None
        assert subscription.link is not None
        subscription.link.unsubscribe(lambda answer: None, channel)
        for _ in range(10):
            await scene.publisher.publish()
        await scene.settle()
        assert scene.gaps == [0, 0]


async def test_a_burst_arrives_whole(valkey: Valkey) -> None:
    async with hall(valkey.url, publishing=False) as scene:
        await asyncio.gather(*(scene.publisher.publish() for _ in range(10_000)))
        await scene.settle()
        assert scene.gaps == [0, 0]
        assert len(scene.publisher.told) >= 10_000


async def test_a_full_memory_is_said_and_making_room_goes_on(own_valkey: Valkey) -> None:
    [here] = await processes(own_valkey.url, 1)
    try:
        position = await here.layer.publish(TOPIC, b"x", KEPT)
        await here.layer.send("work", b"x")
        await here.layer.enter(TOPIC, "ann", b"A")
        own_valkey.ask("CONFIG", "SET", "maxmemory", "1mb")
        for doing in (here.layer.publish(TOPIC, b"y"), here.layer.send("work", b"y")):
            with pytest.raises(LayerError, match="memory of the layer's Redis is full"):
                await doing
        together = [here.layer.publish(TOPIC, b"y") for _ in range(5)]
        for refused in await asyncio.gather(*together, return_exceptions=True):
            assert isinstance(refused, LayerError)
            assert "memory of the layer's Redis is full" in str(refused)
        [delivery] = await here.layer.receive("work")
        assert await here.layer.ack(delivery)
        assert await here.layer.position(TOPIC) == position
        await here.layer.leave(TOPIC, "ann")
        own_valkey.ask("CONFIG", "SET", "maxmemory", "0")
        assert (await here.layer.publish(TOPIC, b"y", KEPT)).offset == position.offset + 1
    finally:
        await here.layer.close()


async def test_a_dead_process_leaves_and_a_living_one_stays(valkey: Valkey) -> None:
    name = namespace()
    url = f"{valkey.url}?lease=1.5"
    here, there = await processes(url, 2, name)
    try:
        await there.layer.watch(TOPIC)
        await here.layer.enter(TOPIC, "ann", b"A", "ann")
        await there.layer.enter(TOPIC, "bob", b"B", "bob")
        await engine_of(here.layer).close()  # without a goodbye
        await there.heard.until_present({"bob": b"B"})
        assert await there.layer.members(TOPIC) == {"bob": b"B"}
        assert (await there.layer.headcount(TOPIC)).people == 1
    finally:
        await here.layer.close()
        await there.layer.close()


async def test_what_a_dead_worker_had_in_hand_is_handed_out_again(valkey: Valkey) -> None:
    name = namespace()
    here, there = await processes(valkey.url, 2, name)
    try:
        await asyncio.gather(*(there.layer.send("work", b"%d" % n) for n in range(100)))
        taken: list[bytes] = []
        while len(taken) < 100:
            found = await here.layer.receive("work", limit=100, lease=1.0)
            taken += [delivery.data for delivery in found]
        await engine_of(here.layer).close()
        again: list[bytes] = []
        while len(again) < 100:
            for delivery in await there.layer.receive("work", limit=30, wait=10):
                assert delivery.attempt == 2
                assert await there.layer.ack(delivery)
                again.append(delivery.data)
        assert sorted(again) == sorted(taken)
        assert (await there.layer.queue_state("work")).held == 0
    finally:
        await here.layer.close()
        await there.layer.close()


async def test_two_processes_come_and_go_as_fast_as_they_can(valkey: Valkey) -> None:
    name = namespace()
    here, there, watching = await processes(valkey.url, 3, name)
    try:
        await watching.layer.watch(TOPIC)

        async def come_and_go(process: Process, who: str) -> None:
            for n in range(200):
                await process.layer.enter(TOPIC, who, b"%d" % n, "ann")
                await process.layer.leave(TOPIC, who)
            await process.layer.enter(TOPIC, who, b"last", "ann")

        await asyncio.gather(come_and_go(here, "one"), come_and_go(there, "two"))
        there_now = {"one": b"last", "two": b"last"}
        await watching.heard.until_present(there_now)
        assert await here.layer.members(TOPIC) == there_now
        assert await here.layer.headcount(TOPIC) == Headcount(members=2, people=1)
    finally:
        for process in (here, there, watching):
            await process.layer.close()


async def test_members_enter_again_at_a_server_that_forgot_them(own_valkey: Valkey) -> None:
    here, there = await processes(own_valkey.url, 2, namespace())
    try:
        await there.layer.watch(TOPIC)
        await here.layer.enter(TOPIC, "ann", b"A")
        own_valkey.kill()
        own_valkey.server.start()
        await there.heard.until(lambda: len(there.heard.restorations) == 1)

        await eventually(lambda: there.layer.members(TOPIC), lambda found: found == {"ann": b"A"})
    finally:
        await here.layer.close()
        await there.layer.close()


async def test_scripts_that_were_flushed_are_loaded_again(own_valkey: Valkey) -> None:
    [here] = await processes(own_valkey.url, 1)
    try:
        for _ in range(2):
            own_valkey.ask("SCRIPT", "FLUSH")
            await here.layer.publish(TOPIC, b"x", KEPT)
            own_valkey.ask("SCRIPT", "FLUSH")
            await here.layer.watch(TOPIC)
            await here.layer.unwatch(TOPIC)
    finally:
        await here.layer.close()


# Failing over ------------------------------------------------------------------------------------


@pytest.fixture
def own_sentinels(tmp_path: Path) -> Iterator[SentinelTrio]:
    servers = SentinelTrio(tmp_path / "sentinels")
    yield servers.start()
    servers.kill()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[ValkeyCluster]:
    servers = ValkeyCluster(tmp_path / "cluster")
    yield servers.start()
    servers.kill()


@pytest.mark.parametrize("how", ["in order", "by a kill"])
async def test_a_failover_of_sentinels_is_followed(own_sentinels: SentinelTrio, how: str) -> None:
    url = f"{own_sentinels.url}?timeout=10"
    async with hall(url) as scene:
        master = own_sentinels.master()
        if how == "in order":
            await asyncio.to_thread(own_sentinels.fail_over)
        else:
            master.kill()
            await until(lambda: own_sentinels.master() is not master, 30)
        await scene.settle()
        # The replica may have lacked the last events: nobody goes on as if it had not.
        assert scene.gaps == [1, 1]


async def test_a_promoted_replica_of_a_cluster_is_followed(own_cluster: ValkeyCluster) -> None:
    async with hall(f"{own_cluster.url}?timeout=10") as scene:
        slot = _slot_of(scene)
        own_cluster.master_of(slot).kill()
        await scene.settle()
        assert scene.gaps == [1, 1]


async def test_a_slot_that_moves_is_followed(own_cluster: ValkeyCluster) -> None:
    async with hall(f"{own_cluster.url}?timeout=10") as scene:
        slot = _slot_of(scene)
        source = own_cluster.master_of(slot)
        target = next(node for node in own_cluster.nodes[:3] if node is not source)
        await asyncio.to_thread(own_cluster.migrate, slot, target)
        await until(lambda: own_cluster.master_of(slot) is target)
        await scene.settle()
        assert max(scene.gaps) <= 1


def _slot_of(scene: Hall) -> int:
    engine = engine_of(scene.followers[0].hub.layer)
    return keys.slot(keys.stream_keys(engine.root, TOPIC)[0])


# Corrupt data ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "harm",
    [
        lambda base: ("HSET", base, "o", "many"),
        lambda base: ("SET", base, "a string"),
        lambda base: ("SET", base + b".history", "a string"),
        lambda base: ("LSET", base + b".history", 1, "short"),
    ],
    ids=["offset", "stream", "history", "event"],
)
async def test_a_corrupt_stream_is_a_gap_and_goes_on(
    valkey: Valkey, harm: Callable[[bytes], tuple[bytes | str | int, ...]],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    name = namespace()
    async with hall_of_one(valkey, name) as (follower, publisher):
        for _ in range(3):
            last = await publisher.publish()
        await follower.until_got(last)
        base = keys.stream_keys(name.encode(), TOPIC)[0]
        valkey.ask(*harm(base))
        layer = follower.hub.layer
        start = follower.lives[0][0][0]
        answer = await layer.read(TOPIC, start)
        assert not getattr(answer, "publications", ())[1:]
        assert engine_of(layer).flaws.count == 1
        await follower.until_current(publisher)
        follower.check(publisher.told)
        await layer.read(TOPIC, start)
        assert sum("corrupt" in record.message for record in caplog.records) <= 2


async def test_news_that_are_none_are_counted_and_change_nothing(
    valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    name = namespace()
    here, there = await processes(valkey.url, 2, name)
    try:
        await here.layer.watch(TOPIC)
        base = keys.stream_keys(name.encode(), TOPIC)[0]
        nonsense = (b"p", b"p x", b"p a b c", b"+", b"+ ann", b"- \xff", b"", b"zzz")
        for news in nonsense:
            valkey.ask("SPUBLISH", base, news)
        await there.layer.publish(TOPIC, b"1", KEPT)
        await here.heard.until_count(1)
        assert here.heard.data() == [b"1"]
        assert here.heard.changes == []
        assert engine_of(here.layer).flaws.count == 6  # not the last two
        assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    finally:
        await here.layer.close()
        await there.layer.close()


async def test_an_offset_that_is_given_twice_is_not_taken_for_known(valkey: Valkey) -> None:
    name = namespace()
    here, there = await processes(valkey.url, 2, name)
    try:
        await here.layer.watch(TOPIC)
        for data in (b"1", b"2", b"3"):
            last = await there.layer.publish(TOPIC, data, KEPT)
        await here.heard.until_count(3)
        valkey.ask("HSET", keys.stream_keys(name.encode(), TOPIC)[0], "o", 1)
        back = await there.layer.publish(TOPIC, b"4", KEPT)
        assert (back.epoch, back.offset) == (last.epoch, 2)
        await here.heard.until(lambda: here.heard.restorations == [(TOPIC, back)])
        assert here.heard.data() == [b"1", b"2", b"3"]
        now = await there.layer.publish(TOPIC, b"5", KEPT)
        # By now, the topic is where it was before: to whoever comes from there it is not the same.
        assert now == last
        assert await here.layer.read(TOPIC, last) == Gap(now)
        assert await here.layer.read(TOPIC, last) == Page([], now)
    finally:
        await here.layer.close()
        await there.layer.close()


@asynccontextmanager
async def hall_of_one(valkey: Valkey, name: str) -> AsyncIterator[tuple[Follower, Publisher]]:
    follower = await Follower(redis_layer(valkey.url, name), TOPIC).start()
    [source] = await processes(valkey.url, 1, name)
    try:
        yield follower, Publisher(source.layer, TOPIC)
    finally:
        await follower.stop()
        await source.layer.close()


async def test_corrupt_members_and_messages_are_skipped_and_counted(valkey: Valkey) -> None:
    name = namespace()
    [here] = await processes(valkey.url, 1, name)
    layer = redis_layer(valkey.url, name)
    try:
        await here.layer.enter(TOPIC, "ann", b"A")
        members = keys.presence_keys(name.encode(), TOPIC)[1]
        valkey.ask("HSET", members, "bob", "garbage")
        assert await here.layer.members(TOPIC) == {"ann": b"A"}
        ids = [await here.layer.send("work", b"%d" % n, order="o") for n in range(3)]
        records = keys.queue_keys(name.encode(), "work")[1]
        valkey.ask("HSET", records, ids[0], "garbage")
        [delivery] = await here.layer.receive("work", limit=5, wait=5)
        assert delivery.data == b"1"
        assert engine_of(here.layer).flaws.count == 2
    finally:
        await here.layer.close()
    with pytest.raises(LayerUnavailable):
        await layer.position(TOPIC)


def test_it_runs_on_uvloop(valkey: Valkey) -> None:
    """Whose transports are not asyncio's."""
    uvloop = pytest.importorskip("uvloop")

    async def say() -> None:
        here, there = await processes(valkey.url, 2, namespace())
        await there.layer.watch(TOPIC)
        await here.layer.publish(TOPIC, b"x")
        await there.heard.until_count(1)
        await here.layer.close()
        await there.layer.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(say())
