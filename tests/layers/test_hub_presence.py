"""The hub and who is present: changes, whole lists, and counts instead of lists."""

import pytest

from seaway.layers import presence_fanout
from seaway.layers.stream import Subscription
from tests.layers.hub_hall import TOPIC, Hall, Outlet
from tests.waiting import until


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
