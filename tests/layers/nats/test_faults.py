"""What goes wrong between us and a NATS, with real servers: nothing is lost in silence, nothing is
stored twice."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from soak.cable import Cable

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import Gap, Headcount, Position
from seaway.layers.nats.layer import NatsLayer
from seaway.testing.layer_contract import KEPT, TOPIC, Process, eventually, page
from tests.layers.nats.support import (
    LARGE,
    check_heard,
    namespace,
    processes,
    publish_all,
    stored,
)
from tests.servers.nats import Nats, NatsCluster

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def pair(own_nats: Nats) -> AsyncIterator[tuple[Process, Process]]:
    """Two processes on a server that the test may hurt."""
    here, there = await processes(f"{own_nats.url}?timeout=10&lease=4", 2)
    yield here, there
    await here.layer.close()
    await there.layer.close()


async def in_thread(call: object) -> None:
    assert callable(call)
    await asyncio.get_running_loop().run_in_executor(None, call)


def restart(server: Nats) -> None:
    server.kill()
    server.start()


# The server ------------------------------------------------------------------------------------


async def test_a_killed_server_comes_back_and_nothing_is_lost(
    own_nats: Nats, pair: tuple[Process, Process]
) -> None:
    here, there = pair
    before = await there.layer.watch(TOPIC)
    await here.layer.enter(TOPIC, "ann", b"A")
    publishing = asyncio.create_task(publish_all(here.layer, [b"%d" % n for n in range(2000)]))
    for count in (200, 700):
        await there.heard.until_count(count)
        await in_thread(lambda: restart(own_nats))
    told = await publishing
    assert len(told) == 2000
    kept = await stored(there.layer, before)
    assert [publication.data for publication in kept] == told
    await there.heard.until(lambda: there.heard.positions()[-1] == kept[-1].position)
    check_heard(there)
    assert len(there.heard.restorations) >= 2
    assert await there.layer.members(TOPIC) == {"ann": b"A"}


async def test_a_server_that_hangs_is_noticed_and_waited_for(
    own_nats: Nats, pair: tuple[Process, Process]
) -> None:
    here, there = pair
    before = await there.layer.watch(TOPIC)
    publishing = asyncio.create_task(publish_all(here.layer, [b"%d" % n for n in range(1500)]))
    await there.heard.until_count(100)
    own_nats.server.pause()
    await asyncio.sleep(6.0)
    own_nats.server.resume()
    told = await publishing
    kept = [publication.data for publication in await stored(there.layer, before)]
    assert len(set(kept)) == len(kept)
    assert set(told) <= set(kept)
    assert [data for data in kept if data in set(told)] == told
    check_heard(there)
    assert there.heard.restorations


async def test_while_it_is_away_callers_are_told_in_words(own_nats: Nats) -> None:
    [here] = await processes(f"{own_nats.url}?timeout=0.5", 1)
    own_nats.kill()
    with pytest.raises(LayerUnavailable, match="NATS at nats://127"):
        await here.layer.publish(TOPIC, b"x")
    with pytest.raises(LayerUnavailable):
        await here.layer.send("jobs", b"x")
    await in_thread(own_nats.start)
    assert (await here.layer.publish(TOPIC, b"y")).offset == 1
    await here.layer.close()


async def test_queues_outlive_a_killed_server(
    own_nats: Nats, pair: tuple[Process, Process]
) -> None:
    here, there = pair
    for n in range(20):
        await here.layer.send("jobs", b"%d" % n)
    held = list(await there.layer.receive("jobs", limit=5, wait=5.0, lease=60.0))
    waiting = asyncio.create_task(here.layer.receive("empty", wait=60.0))
    await in_thread(lambda: restart(own_nats))
    for delivery in held:
        assert await there.layer.ack(delivery)
    got = [delivery.data for delivery in held]
    while len(got) < 20:
        for delivery in await there.layer.receive("jobs", limit=4, wait=10.0):
            assert delivery.attempt == 1
            assert await here.layer.ack(delivery)
            got.append(delivery.data)
    assert got == [b"%d" % n for n in range(20)]
    await there.layer.send("empty", b"x")
    assert [delivery.data for delivery in await waiting] == [b"x"]


async def test_a_server_that_was_put_back_to_an_older_copy_begins_new_epochs(
    own_nats: Nats, pair: tuple[Process, Process], tmp_path: Path
) -> None:
    here, there = pair
    await there.layer.watch(TOPIC)
    for n in range(5):
        await here.layer.publish(TOPIC, b"%d" % n, KEPT)
    copy = tmp_path / "copy"

    def keep() -> None:
        own_nats.server.stop()
        shutil.copytree(own_nats.data, copy)
        own_nats.start()

    def put_back() -> None:
        own_nats.server.stop()
        shutil.rmtree(own_nats.data)
        shutil.copytree(copy, own_nats.data)
        own_nats.start()

    await in_thread(keep)
    for n in range(5, 10):
        last = await here.layer.publish(TOPIC, b"%d" % n, KEPT)
    await in_thread(put_back)
    await there.heard.until(
        lambda: any(position.epoch != last.epoch for _, position in there.heard.restorations)
    )
    assert isinstance(await there.layer.read(TOPIC, last), Gap)
    again = await here.layer.publish(TOPIC, b"again", KEPT)
    assert again.offset == 1
    assert again.epoch != last.epoch


async def test_a_deleted_stream_is_made_again_with_new_epochs(
    own_nats: Nats, pair: tuple[Process, Process]
) -> None:
    here, there = pair
    await there.layer.watch(TOPIC)
    before = await here.layer.publish(TOPIC, b"x", KEPT)
    assert isinstance(here.layer, NatsLayer)
    await here.layer._jetstream.api.request(f"STREAM.DELETE.{here.layer._streams.topics}", {})
    after = await here.layer.publish(TOPIC, b"y", KEPT)
    await there.heard.until(
        lambda: any(position.epoch != before.epoch for _, position in there.heard.restorations)
    )
    assert after == await there.layer.position(TOPIC)


async def test_what_has_an_offset_that_was_given_before_is_a_gap(
    own_nats: Nats, pair: tuple[Process, Process]
) -> None:
    here, there = pair
    await there.layer.watch(TOPIC)
    for data in (b"1", b"2", b"3"):
        last = await here.layer.publish(TOPIC, data, KEPT)
    await there.heard.until_count(3)
    assert isinstance(here.layer, NatsLayer)
    # Somebody removes the topic's messages, and the stream goes on.
    streams, subjects = here.layer._streams, here.layer._subjects
    await here.layer._jetstream.purge(streams.topics, subjects.topic(TOPIC))
    again = await here.layer.publish(TOPIC, b"4", KEPT)
    assert (again.epoch, again.offset) == (last.epoch, 1)
    await there.heard.until(lambda: there.heard.restorations == [(TOPIC, again)])
    for data in (b"5", b"6", b"7"):
        now = await here.layer.publish(TOPIC, data, KEPT)
    await there.heard.until_count(6)
    # By now, the topic is where it was before: to whoever comes from there it is not the same.
    assert await there.layer.read(TOPIC, last) == Gap(now)
    assert page(await there.layer.read(TOPIC, last)).publications[0].data == b"7"


# The network -----------------------------------------------------------------------------------


async def test_whatever_is_cut_nothing_is_stored_twice(own_nats: Nats) -> None:
    cable = await Cable(("127.0.0.1", own_nats.port)).start()
    name = namespace()
    [here] = await processes(f"nats://127.0.0.1:{cable.port}?timeout=10", 1, name)
    [there] = await processes(own_nats.url, 1, name)
    before = await there.layer.watch(TOPIC)
    names = [b"%d" % n for n in range(300)]
    told: list[bytes] = []
    for round_ in range(15):
        cable.reset_after(150 + round_ * 101)
        told += await publish_all(here.layer, names[round_ * 20 : round_ * 20 + 20])
    assert told == names
    assert [publication.data for publication in await stored(there.layer, before)] == names
    await there.heard.until_count(300)
    check_heard(there)
    await here.layer.close()
    await there.layer.close()
    await cable.close()


async def test_messages_of_a_channel_survive_cuts_once(own_nats: Nats) -> None:
    cable = await Cable(("127.0.0.1", own_nats.port)).start()
    [here] = await processes(f"nats://127.0.0.1:{cable.port}?timeout=10", 1)
    got: list[bytes] = []
    for round_ in range(10):
        cable.reset_after(900 + round_ * 173)
        for n in range(5):
            await here.layer.send("jobs", b"%d-%d" % (round_, n))
        count = 0
        while count < 5:
            for delivery in await here.layer.receive("jobs", limit=5, wait=10.0, lease=30.0):
                if await here.layer.ack(delivery):
                    got.append(delivery.data)
                    count += 1
    assert got == [b"%d-%d" % (round_, n) for round_ in range(10) for n in range(5)]
    await here.layer.close()
    await cable.close()


async def test_news_that_were_lost_in_silence_are_noticed(
    own_nats: Nats, pair: tuple[Process, Process]
) -> None:
    here, there = pair
    await there.layer.watch(TOPIC)
    await here.layer.publish(TOPIC, b"heard", KEPT)
    await there.heard.until_count(1)
    assert isinstance(there.layer, NatsLayer)
    link, watch = there.layer._engine.link, there.layer._watches._watches[TOPIC]
    assert link is not None
    link.unsubscribe(watch.sid)  # behind the engine's back, as a server might forget it
    await there.layer._engine.round_trip()
    last = await here.layer.publish(TOPIC, b"unheard", KEPT)
    await there.heard.until(lambda: (TOPIC, last) in there.heard.restorations)


async def test_a_process_behind_a_dead_network_leaves_and_returns(own_nats: Nats) -> None:
    cable = await Cable(("127.0.0.1", own_nats.port)).start()
    name = namespace()
    [here] = await processes(f"nats://127.0.0.1:{cable.port}?lease=2", 1, name)
    [there] = await processes(f"{own_nats.url}?lease=2", 1, name)
    try:
        await there.layer.watch(TOPIC)
        await here.layer.enter(TOPIC, "ann", b"A", "user-1")
        await there.heard.until_present({"ann": b"A"})
        cable.hold()
        await there.heard.until_present({})
        # Who takes a process for dead tells it first and removes its members then.
        await eventually(lambda: there.layer.headcount(TOPIC), lambda at: at == Headcount(0, 0))
        cable.carry()
        await there.heard.until_present({"ann": b"A"})
        assert await there.layer.members(TOPIC) == {"ann": b"A"}
    finally:
        await here.layer.close()
        await there.layer.close()
        await cable.close()


async def test_a_process_that_returns_while_it_is_buried_stays(
    own_nats: Nats, pair: tuple[Process, Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    assert isinstance(here.layer, NatsLayer)
    assert isinstance(there.layer, NatsLayer)
    await here.layer.enter(TOPIC, "ann", b"A")
    returned = here.layer._lives
    remove = there.layer._lives._bury

    async def bury(process: str, before: int) -> None:
        # It gives a sign of life between the claim that it is dead and the end of its members.
        await returned._renew()
        await remove(process, before)

    monkeypatch.setattr(there.layer._lives, "_bury", bury)
    await there.layer._lives._bury_one(here.layer._engine.process, returned._sequence)
    assert await there.layer.members(TOPIC) == {"ann": b"A"}
    assert await here.layer.members(TOPIC) == {"ann": b"A"}


async def test_what_a_dead_process_held_is_handed_out_before_its_lease_ends(
    own_nats: Nats,
) -> None:
    cable = await Cable(("127.0.0.1", own_nats.port)).start()
    name = namespace()
    [here] = await processes(f"nats://127.0.0.1:{cable.port}?lease=2", 1, name)
    [there] = await processes(f"{own_nats.url}?lease=2", 1, name)
    await here.layer.send("jobs", b"x")
    [first] = await here.layer.receive("jobs", wait=5.0, lease=300.0)
    cable.hold()
    [second] = await there.layer.receive("jobs", wait=30.0)
    assert (second.id, second.attempt) == (first.id, 2)
    await there.layer.close()
    await cable.close()
    await here.layer.close()


# Numbers ---------------------------------------------------------------------------------------


async def test_a_burst_of_ten_thousand(own_nats: Nats, pair: tuple[Process, Process]) -> None:
    here, there = pair
    await there.layer.watch(TOPIC)
    names = [b"%d" % n for n in range(10_000)]
    positions = await asyncio.gather(*(here.layer.publish(TOPIC, data, LARGE) for data in names))
    await there.heard.until_count(10_000)
    assert there.heard.data() == names
    assert there.heard.positions() == positions
    assert [one.offset for one in positions] == list(range(1, 10_001))


async def test_a_long_history_is_searched(pair: tuple[Process, Process]) -> None:
    here, there = pair
    for first in range(0, 3000, 10):
        await asyncio.gather(
            *(here.layer.publish(TOPIC, b"%d" % n, LARGE) for n in range(first, first + 10)),
            here.layer.publish("another", b"x", LARGE),
        )
    epoch = (await there.layer.position(TOPIC)).epoch
    for offset in (0, 1, 1234, 2999):
        answer = await stored(there.layer, Position(epoch, offset))
        assert [one.data for one in answer] == [b"%d" % n for n in range(offset, 3000)]


async def test_two_that_join_and_leave_as_fast_as_they_can(
    own_nats: Nats, pair: tuple[Process, Process]
) -> None:
    here, there = pair
    assert isinstance(here.layer, NatsLayer)
    [third] = await processes(own_nats.url, 1, here.layer._subjects.root)
    await third.layer.watch(TOPIC)

    async def flutter(process: Process, member: str) -> None:
        for n in range(60):
            await process.layer.enter(TOPIC, member, b"%d" % n)
            await process.layer.leave(TOPIC, member)
        await process.layer.enter(TOPIC, member, b"stays")

    await asyncio.gather(
        flutter(here, "ann"), flutter(there, "bob"), flutter(here, "cid"), flutter(there, "cid")
    )
    everybody = {"ann": b"stays", "bob": b"stays", "cid": b"stays"}
    assert await third.layer.members(TOPIC) == everybody
    assert await third.layer.headcount(TOPIC) == Headcount(3, 3)
    await third.heard.until_present(everybody)
    await third.layer.close()


# The cluster -----------------------------------------------------------------------------------


async def test_a_lost_node_of_the_cluster_costs_nothing(tmp_path: Path) -> None:
    servers = NatsCluster(tmp_path)
    await in_thread(servers.start)
    try:
        name = namespace()
        here, there = await processes(f"{servers.url}?timeout=20", 2, name)
        before = await there.layer.watch(TOPIC)
        await here.layer.enter(TOPIC, "ann", b"A")
        publishing = asyncio.create_task(publish_all(here.layer, [b"%d" % n for n in range(1500)]))
        await there.heard.until_count(100)
        leader = servers.leader_of(f"{name}_topics")
        await in_thread(leader.kill)
        told = await publishing
        assert len(told) == 1500
        kept = [publication.data for publication in await stored(there.layer, before)]
        assert kept == told
        last = await here.layer.publish(TOPIC, b"last", LARGE)

        def up_to_date() -> bool:
            heard = there.heard
            return last in heard.positions() or (TOPIC, last) in heard.restorations

        await there.heard.until(up_to_date)
        check_heard(there)
        await here.layer.send("jobs", b"x")
        [delivery] = await there.layer.receive("jobs", wait=10.0)
        assert await there.layer.ack(delivery)
        await eventually(lambda: there.layer.members(TOPIC), lambda found: found == {"ann": b"A"})
        await here.layer.close()
        await there.layer.close()
    finally:
        servers.kill()
