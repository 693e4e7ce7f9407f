"""The hub's long fan-outs, and the lanes that write to many outlets together."""

import asyncio

import pytest

from seaway.layers import fanout
from tests.layers.hub_hall import TOPIC, Hall, Line, Outlet, state_of
from tests.waiting import until


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
