"""What happens to the engine, and what clients see of it: everything once, or that of a gap."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from soak.cable import Cable

from seaway.exceptions import LayerError
from seaway.layers.base import Headcount
from seaway.layers.redis import keys, news, pipe
from seaway.testing.layer_contract import Process, eventually
from tests.layers.following import KEPT, Follower, Publisher
from tests.layers.redis.halls import TOPIC, hall
from tests.layers.redis.support import connected, engine_of, namespace, processes, redis_layer
from tests.servers.valkey import Valkey
from tests.waiting import until


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
