"""The hub over a real memory layer: who gets what, once and in order, or is told that it missed."""

import asyncio
from functools import partial

import pytest

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import History, Position, Publication
from seaway.layers.hub import Hub
from seaway.layers.memory.store import Store
from seaway.layers.stream import RECENT_EVENTS, State, Unsayable
from tests.layers.hub_hall import TOPIC, Hall, LossyLayer, Outlet, Words, state_of
from tests.waiting import until


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


async def test_a_layer_that_does_not_answer_refuses_the_subscription(hall: Hall) -> None:
    await hall.layer.close()

    class Dead(LossyLayer):
        async def watch(self, topic: str) -> Position:
            raise LayerUnavailable("nobody there")

    hub = Hub(Dead(Store()))
    with pytest.raises(LayerUnavailable):
        await hub.subscribe(TOPIC, Outlet(), hall.words, replayable=True)
    await hub.close()
