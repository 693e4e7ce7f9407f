"""The hub over a real memory layer: who gets what, once and in order, or is told that it missed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest

from seaway.exceptions import LayerUnavailable
from seaway.layers import fanout, presence_fanout
from seaway.layers.base import Gap, Headcount, History, Page, Position, PresenceChange, Publication
from seaway.layers.hub import Hub
from seaway.layers.memory.layer import MemoryLayer
from seaway.layers.memory.store import Store
from seaway.layers.stream import RECENT_EVENTS, State, Subscription, Unsayable
from tests.waiting import until

TOPIC = "halls/1"
KEPT = History(size=1000, seconds=60)


class Words:
    """An encoding that a person can read."""

    def __init__(self) -> None:
        self.encoded = 0

    def event(self, topic: str, publication: Publication) -> bytes:
        self.encoded += 1
        return b"%d:%b " % (publication.position.offset, publication.data)

    def gap(self, topic: str) -> bytes:
        return b"gap "

    def presence(self, topic: str, change: PresenceChange) -> bytes:
        return b"+%b-%b " % (
            b",".join(sorted(change.entered.values())),
            ",".join(sorted(change.left)).encode(),
        )

    def members(self, topic: str, members: Sequence[bytes]) -> bytes:
        return b"=%b " % b",".join(sorted(members))

    def headcount(self, topic: str, count: Headcount) -> bytes:
        return b"#%d/%d " % (count.members, count.people)


class Outlet:
    """A connection as the hub sees it: it keeps what was written, and can be stuck."""

    def __init__(self, room: int | None = None, lane: "Line | None" = None) -> None:
        self.writable = True
        self.room = room
        self.lane = lane
        self.batches = 0
        self.writes: list[bytes] = []
        self.closed_with: int | None = None

    def write(self, frame: bytes) -> None:
        self.writes.append(frame)
        if self.room is not None:
            self.room -= 1
            self.writable = self.room > 0

    def close(self, code: int, reason: str = "") -> None:
        self.closed_with = code
        self.writable = False

    def drain(self, room: int | None = None) -> None:
        self.room = room
        self.writable = True

    @property
    def said(self) -> list[str]:
        return b"".join(self.writes).decode().split()


class Line:
    """A lane that takes what it is told to, and leaves the rest to the hub."""

    def __init__(self, *, leaves: Sequence["Outlet"] = ()) -> None:
        self.leaves = leaves
        self.sizes: list[int] = []

    def batch(self, sinks: Sequence[Outlet]) -> "Together":
        return Together(self, sinks)


class Together:
    def __init__(self, line: Line, sinks: Sequence[Outlet]) -> None:
        self.line, self.sinks = line, sinks

    def write(self, frame: bytes) -> Sequence[int]:
        self.line.sizes.append(len(self.sinks))
        left = [n for n, sink in enumerate(self.sinks) if self._is_left(sink)]
        for sink in self.sinks:
            if not self._is_left(sink):
                sink.write(frame)
                sink.batches += 1
        return left

    def _is_left(self, sink: Outlet) -> bool:
        return sink in self.line.leaves or not sink.writable


class LossyLayer(MemoryLayer):
    """The memory layer behind a bad line: it can lose announcements and stop answering."""

    losing = False
    answers = True

    def forget_everything(self) -> None:
        self._store = Store()
        self._store.attach(self)

    def announce_through(self, hub: Hub) -> "LossyReceiver":
        return LossyReceiver(self, hub)

    async def read(self, topic: str, since: Position, limit: int = 100) -> Page | Gap:
        if not self.answers:
            raise LayerUnavailable("the line is cut")
        return await super().read(topic, since, limit)


class LossyReceiver:
    def __init__(self, layer: LossyLayer, hub: Hub) -> None:
        self.layer, self.hub = layer, hub

    def published(self, topic: str, publication: Publication) -> None:
        if not self.layer.losing:
            self.hub.published(topic, publication)

    def presence_changed(self, topic: str, change: PresenceChange) -> None:
        self.hub.presence_changed(topic, change)

    def restored(self, topic: str, position: Position) -> None:
        self.hub.restored(topic, position)


class Hall:
    def __init__(self, layer: LossyLayer, hub: Hub) -> None:
        self.layer, self.hub, self.words = layer, hub, Words()

    async def join(self, outlet: Outlet, *, replayable: bool = True) -> Subscription:
        subscription = await self.hub.subscribe(TOPIC, outlet, self.words, replayable=replayable)
        self.hub.activate(subscription)
        return subscription

    async def publish(self, *events: str, history: History | None = KEPT) -> None:
        for event in events:
            await self.layer.publish(TOPIC, event.encode(), history)


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    layer = LossyLayer(Store())
    hub = Hub(layer)
    await layer.start(layer.announce_through(hub))
    yield Hall(layer, hub)
    await hub.close()
    await layer.close()


def state_of(subscription: Subscription) -> str:
    return subscription.state.name


async def test_subscribers_get_events_in_order(hall: Hall) -> None:
    ann, bob = Outlet(), Outlet()
    await hall.join(ann)
    await hall.publish("a")
    await hall.join(bob)
    await hall.publish("b", "c")
    await until(lambda: len(ann.said) == 3)
    assert ann.said == ["1:a", "2:b", "3:c"]
    assert bob.said == ["2:b", "3:c"]


async def test_an_event_is_encoded_once_for_all(hall: Hall) -> None:
    outlets = [Outlet() for _ in range(300)]
    for outlet in outlets:
        await hall.join(outlet)
    await hall.publish("a")
    await until(lambda: all(outlet.said for outlet in outlets))
    assert hall.words.encoded == 1
    assert len({id(outlet.writes[0]) for outlet in outlets}) == 1


async def test_events_of_one_turn_are_one_write(hall: Hall) -> None:
    ann = Outlet()
    subscription = await hall.join(ann)
    epoch = subscription.stream.flushed.epoch
    for offset in (1, 2, 3):
        hall.hub.published(TOPIC, Publication(Position(epoch, offset), b"x"))
    await until(lambda: bool(ann.writes))
    assert ann.writes == [b"1:x 2:x 3:x "]


async def test_what_is_published_while_the_snapshot_is_made_follows_it(hall: Hall) -> None:
    ann = Outlet()
    held = await hall.hub.subscribe(TOPIC, ann, hall.words, replayable=False)
    await hall.publish("a", "b", history=None)
    await until(lambda: held.stream.flushed.offset == 2)
    assert ann.writes == []
    hall.hub.activate(held)
    await hall.publish("c", history=None)
    await until(lambda: len(ann.said) == 3)
    assert ann.said == ["1:a", "2:b", "3:c"]


async def test_a_slow_client_keeps_a_cursor_and_catches_up(hall: Hall) -> None:
    slow, quick = Outlet(room=2), Outlet()
    subscription = await hall.join(slow)
    await hall.join(quick)
    for number in range(20):
        await hall.publish(f"e{number}")
        await until(lambda n=number: len(quick.said) == n + 1)  # type: ignore[misc]
    assert len(slow.said) == 2
    assert state_of(subscription) == "BEHIND"
    while len(slow.said) < 20:
        slow.drain(room=5)
        hall.hub.catch_up(subscription)
        await until(lambda: not slow.writable or len(slow.said) == 20)
    assert slow.said == quick.said
    slow.drain()
    hall.hub.catch_up(subscription)
    await hall.publish("last")
    await until(lambda: len(slow.said) == 21)
    assert state_of(subscription) == "LIVE"


async def test_a_very_slow_client_catches_up_from_the_layers_history(hall: Hall) -> None:
    slow = Outlet(room=1)
    subscription = await hall.join(slow)
    total = RECENT_EVENTS + 100
    await hall.publish("e0")
    await until(lambda: not slow.writable)
    await hall.publish(*(f"e{number}" for number in range(1, total)))
    await until(lambda: subscription.stream.flushed.offset == total)
    slow.drain()
    hall.hub.catch_up(subscription)
    await until(lambda: len(slow.said) >= total)
    assert slow.said == [f"{number + 1}:e{number}" for number in range(total)]


async def test_a_client_too_slow_for_the_history_is_told_of_the_gap(hall: Hall) -> None:
    slow = Outlet(room=1)
    subscription = await hall.join(slow)
    short = History(size=10, seconds=60)
    total = RECENT_EVENTS + 100
    await hall.publish("e0", history=short)
    await until(lambda: not slow.writable)
    await hall.publish(*(f"e{number}" for number in range(1, total)), history=short)
    await until(lambda: subscription.stream.flushed.offset == total)
    slow.drain()
    hall.hub.catch_up(subscription)
    await until(lambda: "gap" in slow.said)
    assert slow.said[-1] == "gap"
    assert subscription.state is State.ENDED


async def test_a_slow_client_of_a_topic_without_history_is_closed(hall: Hall) -> None:
    slow = Outlet(room=1)
    await hall.join(slow, replayable=False)
    await hall.publish("a", history=None)
    await until(lambda: slow.said == ["1:a"])
    await hall.publish("b", history=None)
    await until(lambda: slow.closed_with is not None)
    assert slow.closed_with == 4000


async def test_resuming_replays_what_was_missed(hall: Hall) -> None:
    other, ann = Outlet(), Outlet()
    first = await hall.join(other)
    await hall.publish("a", "b", "c")
    since = Position(first.stream.flushed.epoch, 1)
    held = await hall.hub.subscribe(TOPIC, ann, hall.words, replayable=True)
    assert await hall.hub.recover(held, since)
    hall.hub.activate(held)
    await until(lambda: len(ann.said) == 2)
    assert ann.said == ["2:b", "3:c"]


@pytest.mark.parametrize(
    "since", [Position("another", 1), Position("", 0)], ids=["other epoch", "no epoch"]
)
async def test_a_foreign_position_is_not_recovered(hall: Hall, since: Position) -> None:
    await hall.publish("a", "b")
    held = await hall.hub.subscribe(TOPIC, Outlet(), hall.words, replayable=True)
    assert not await hall.hub.recover(held, since)


async def test_a_position_ahead_of_the_stream_is_not_recovered(hall: Hall) -> None:
    await hall.publish("a")
    held = await hall.hub.subscribe(TOPIC, Outlet(), hall.words, replayable=True)
    assert not await hall.hub.recover(held, Position(held.cursor.epoch, 9))


async def test_a_hole_is_read_from_history(hall: Hall) -> None:
    ann = Outlet()
    await hall.join(ann)
    await hall.publish("a")
    hall.layer.losing = True
    await hall.publish("b", "c")
    hall.layer.losing = False
    await hall.publish("d")
    await until(lambda: len(ann.said) == 4)
    assert ann.said == ["1:a", "2:b", "3:c", "4:d"]


async def test_a_hole_without_history_is_told(hall: Hall) -> None:
    ann = Outlet()
    subscription = await hall.join(ann, replayable=False)
    hall.layer.losing = True
    await hall.publish("a", history=None)
    hall.layer.losing = False
    await hall.publish("b", history=None)
    await until(lambda: bool(ann.said))
    assert ann.said == ["gap"]
    assert subscription.state is State.ENDED


async def test_a_repair_waits_for_the_layer(hall: Hall) -> None:
    ann = Outlet()
    await hall.join(ann)
    hall.layer.losing, hall.layer.answers = True, False
    await hall.publish("a")
    hall.layer.losing = False
    await hall.publish("b")
    hall.layer.answers = True
    await until(lambda: len(ann.said) == 2)
    assert ann.said == ["1:a", "2:b"]


async def test_after_an_outage_what_was_missed_is_read(hall: Hall) -> None:
    ann = Outlet()
    await hall.join(ann)
    hall.layer.losing = True
    await hall.publish("a", "b")
    hall.layer.losing = False
    hall.hub.restored(TOPIC, await hall.layer.position(TOPIC))
    await until(lambda: ann.said[:2] == ["1:a", "2:b"])


async def test_after_an_outage_with_a_new_epoch_everybody_is_told(hall: Hall) -> None:
    ann, bob = Outlet(), Outlet()
    await hall.join(ann)
    await hall.join(bob)
    hall.layer.forget_everything()
    hall.hub.restored(TOPIC, await hall.layer.watch(TOPIC))
    await until(lambda: "gap" in ann.said and "gap" in bob.said)


async def test_the_last_one_out_ends_the_watch_and_the_next_one_in_starts_it(hall: Hall) -> None:
    for round_number in range(5):
        ann = Outlet()
        subscription = await hall.join(ann)
        await hall.publish(f"r{round_number}")
        await until(lambda outlet=ann: bool(outlet.said))  # type: ignore[misc]
        hall.hub.unsubscribe(subscription)
        hall.hub.unsubscribe(subscription)
    bob = Outlet()
    subscriptions = await asyncio.gather(*(hall.join(Outlet()) for _ in range(3)), hall.join(bob))
    for subscription in subscriptions[:3]:
        hall.hub.unsubscribe(subscription)
    await hall.publish("still")
    await until(lambda: bob.said == ["6:still"])


async def test_long_fan_outs_let_others_run_and_respect_who_left(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "TURN_SECONDS", 0)
    turns = 0

    class Leaver(Outlet):
        def write(self, frame: bytes) -> None:
            super().write(frame)
            hall.hub.unsubscribe(subscriptions[-1])

    await hall.join(Leaver())
    outlets = [Outlet() for _ in range(fanout.CHUNK * 10)]
    subscriptions = [await hall.join(outlet) for outlet in outlets]
    await hall.publish("a", "b")
    while not outlets[-2].said:
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 10
    assert {tuple(outlet.said) for outlet in outlets[:-1]} == {("1:a", "2:b")}
    assert outlets[-1].said == []


async def test_outlets_with_a_lane_are_written_to_together(hall: Hall) -> None:
    one, other = Line(), Line()
    outlets = [Outlet(lane=one) for _ in range(fanout.CHUNK + 10)]
    outlets += [Outlet(lane=other) for _ in range(10)] + [Outlet() for _ in range(10)]
    for outlet in outlets:
        await hall.join(outlet)
    await hall.publish("a")
    await until(lambda: all(outlet.said == ["1:a"] for outlet in outlets))
    assert (one.sizes, other.sizes) == ([fanout.CHUNK, 10], [10])
    assert sum(outlet.batches for outlet in outlets) == fanout.CHUNK + 20


async def test_who_is_left_by_the_lane_is_written_to_alone_or_falls_behind(hall: Hall) -> None:
    line = Line()
    outlets = [Outlet(lane=line) for _ in range(10)]
    line.leaves = outlets[:2]
    subscriptions = [await hall.join(outlet) for outlet in outlets]
    stuck = outlets[1]
    stuck.writable = False
    await hall.publish("a")
    await until(lambda: outlets[-1].said == ["1:a"])
    assert [outlet.said for outlet in outlets[:3]] == [["1:a"], [], ["1:a"]]
    assert [outlet.batches for outlet in outlets[:3]] == [0, 0, 1]
    assert [state_of(one) for one in subscriptions[:3]] == ["LIVE", "BEHIND", "LIVE"]
    stuck.drain()
    hall.hub.catch_up(subscriptions[1])
    await hall.publish("b")
    await until(lambda: all(outlet.said == ["1:a", "2:b"] for outlet in outlets))


async def test_who_left_during_a_long_fan_out_and_came_back_gets_nothing_twice(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "TURN_SECONDS", 0)
    line = Line()
    outlets = [Outlet(lane=line) for _ in range(fanout.CHUNK * 3)]
    subscriptions = [await hall.join(outlet) for outlet in outlets]
    back = outlets[-1]
    await hall.publish("a")
    while not outlets[0].said:  # noqa: ASYNC110  the next turn, not a later one
        await asyncio.sleep(0)
    assert back.said == []
    hall.hub.unsubscribe(subscriptions[-1])
    held = await hall.hub.subscribe(TOPIC, back, hall.words, replayable=True)
    assert held.cursor.offset == 1
    hall.hub.activate(held)
    await until(lambda: outlets[-2].said == ["1:a"])
    await hall.publish("b")
    await until(lambda: all(outlet.said == ["1:a", "2:b"] for outlet in outlets[:-1]))
    await until(lambda: back.said == ["2:b"])


async def test_an_encoding_that_fails_does_not_stop_the_hub(hall: Hall) -> None:
    class Broken(Words):
        def event(self, topic: str, publication: Publication) -> bytes:
            raise ValueError("cannot say that")

    await hall.hub.subscribe(TOPIC, Outlet(), Broken(), replayable=True)
    broken = await hall.hub.subscribe(TOPIC, Outlet(), Broken(), replayable=True)
    hall.hub.activate(broken)
    await hall.publish("a")
    await asyncio.sleep(0)
    hall.hub.unsubscribe(broken)
    ann = Outlet()
    await hall.join(ann)
    await hall.publish("b")
    await until(lambda: "2:b" in ann.said)


class Picky(Words):
    """Cannot say everything."""

    def event(self, topic: str, publication: Publication) -> bytes:
        if publication.data == b"nonsense":
            raise Unsayable("it is nonsense")
        return super().event(topic, publication)


async def test_who_cannot_be_told_an_event_is_told_of_a_gap_and_others_get_it(
    hall: Hall, caplog: pytest.LogCaptureFixture
) -> None:
    picky, ann = Outlet(), Outlet()
    subscription = await hall.hub.subscribe(TOPIC, picky, Picky(), replayable=True)
    hall.hub.activate(subscription)
    await hall.join(ann)
    await hall.publish("a", "nonsense", "b")
    await until(lambda: len(ann.said) == 3)
    assert picky.said[-1] == "gap"
    assert state_of(subscription) == "ENDED"
    assert f"topic={TOPIC} an event cannot be told: it is nonsense" in caplog.text


def told_of_a_gap(outlet: Outlet) -> bool:
    return outlet.said[-1:] == ["gap"]


async def test_who_resumes_before_what_cannot_be_told_is_told_of_a_gap(hall: Hall) -> None:
    first = await hall.join(Outlet())
    start = first.stream.flushed
    await hall.publish("a", "nonsense")
    await until(lambda: first.stream.flushed.offset == 2)
    # Once from what the stream still has, and once from the layer's history.
    for recent in (True, False):
        resumed = Outlet()
        words = Picky()
        held = await hall.hub.subscribe(TOPIC, resumed, words, replayable=True)
        assert await hall.hub.recover(held, start)
        if recent:
            await hall.publish("nonsense")
            await until(lambda: first.stream.flushed.offset == 3)
            held.cursor = Position(start.epoch, 2)
        hall.hub.activate(held)
        await until(partial(told_of_a_gap, resumed))
        assert state_of(held) == "ENDED"


async def test_an_outlet_that_raises_does_not_stop_the_hub(hall: Hall) -> None:
    class Broken(Outlet):
        def write(self, frame: bytes) -> None:
            raise RuntimeError("not as agreed")

    broken = await hall.join(Broken())
    await hall.layer.publish("halls/2", b"x")
    other = Outlet()
    there = await hall.hub.subscribe("halls/2", other, hall.words, replayable=True)
    hall.hub.activate(there)
    await hall.publish("a")
    await hall.layer.publish("halls/2", b"y")
    await until(lambda: other.said == ["2:y"])
    hall.hub.unsubscribe(broken)
    ann = Outlet()
    await hall.join(ann)
    await hall.publish("b")
    await until(lambda: ann.said == ["2:b"])


async def test_presence_changes_are_joined_and_reach_the_live(hall: Hall) -> None:
    ann = Outlet()
    await hall.join(ann)
    await hall.layer.enter(TOPIC, "m1", b"one")
    await hall.layer.enter(TOPIC, "m2", b"two")
    await hall.layer.leave(TOPIC, "m2")
    await until(lambda: bool(ann.said))
    assert ann.said == ["+one-m2"]


async def test_who_missed_presence_changes_gets_the_whole_list(hall: Hall) -> None:
    ann = Outlet()
    held = await hall.hub.subscribe(TOPIC, ann, hall.words, replayable=True)
    await hall.layer.enter(TOPIC, "m1", b"one")
    await until(lambda: held.stale)
    hall.hub.activate(held)
    await until(lambda: ann.said == ["=one"])


async def test_a_layer_that_does_not_answer_refuses_the_subscription(hall: Hall) -> None:
    await hall.layer.close()

    class Dead(LossyLayer):
        async def watch(self, topic: str) -> Position:
            raise LayerUnavailable("nobody there")

    hub = Hub(Dead(Store()))
    with pytest.raises(LayerUnavailable):
        await hub.subscribe(TOPIC, Outlet(), hall.words, replayable=True)
    await hub.close()


# Counts instead of lists -------------------------------------------------------------------------


async def counting(hall: Hall, outlet: Outlet) -> Subscription:
    subscription = await hall.hub.subscribe(
        TOPIC, outlet, hall.words, replayable=True, counted=True
    )
    hall.hub.activate(subscription)
    return subscription


async def test_a_crowd_that_comes_is_one_number(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_fanout, "COUNT_SECONDS", 0.1)
    outlets = [Outlet() for _ in range(3)]
    for outlet in outlets:
        await counting(hall, outlet)
    for n in range(1000):
        await hall.layer.enter(TOPIC, f"m{n}", b"x" * 100, f"user-{n % 600}")
    await until(lambda: all(outlet.said[-1:] == ["#1000/600"] for outlet in outlets))
    assert all(len(outlet.said) < 20 for outlet in outlets)


async def test_who_missed_a_number_is_told_it(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence_fanout, "COUNT_SECONDS", 0.01)
    ann = Outlet()
    held = await hall.hub.subscribe(TOPIC, ann, hall.words, replayable=True, counted=True)
    await hall.layer.enter(TOPIC, "m1", b"one")
    await until(lambda: held.stale)
    hall.hub.activate(held)
    await until(lambda: ann.said == ["#1/1"])


async def test_the_same_number_is_not_told_again(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence_fanout, "COUNT_SECONDS", 0.01)
    ann = Outlet()
    await counting(hall, ann)
    await hall.layer.enter(TOPIC, "m1", b"one")
    await until(lambda: ann.said == ["#1/1"])
    await hall.layer.enter(TOPIC, "m1", b"two")
    await hall.layer.enter(TOPIC, "m2", b"two")
    await until(lambda: ann.said[-1] == "#2/2")
    assert ann.said == ["#1/1", "#2/2"]
