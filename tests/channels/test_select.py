"""Waiting for the first of several things."""

from __future__ import annotations

import asyncio

import pytest

from seaway import TopicAddress, after, channel, select


async def test_the_source_that_has_something_is_chosen() -> None:
    here, there = channel("here"), channel("there")
    await there.send("hello")
    source, delivery = await select(here, there, after(10))
    assert source is there
    assert delivery.value == "hello"


async def test_time_is_a_source_and_goes_on_counting() -> None:
    empty, over = channel("empty"), after(0.05)
    assert await select(empty, over) == (over, None)
    assert await select(empty, over) == (over, None)


async def test_exactly_one_source_is_taken_from() -> None:
    sources = [channel(f"source-{number}") for number in range(4)]
    for source in sources:
        await source.send(source.name)
    for _ in sources:
        source, delivery = await select(*sources)
        assert delivery.value == source.name
        await delivery.ack()
    for source in sources:
        assert (await source.state()).waiting + (await source.state()).held == 0


async def test_no_source_starves() -> None:
    left, right = channel("left"), channel("right")
    for number in range(40):
        await left.send(number)
        await right.send(number)
    chosen = set()
    for _ in range(30):
        source, delivery = await select(left, right)
        await delivery.ack()
        chosen.add(source.name)
    assert chosen == {"left", "right"}


async def test_cancelled_it_takes_nothing() -> None:
    here, there = channel("here"), channel("there")
    waiting = asyncio.create_task(select(here, there))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await here.send("kept")
    _, delivery = await select(here, there, after(10))
    assert (delivery.value, delivery.attempt) == ("kept", 1)


async def test_a_topic_is_a_source() -> None:
    news = TopicAddress("news")
    async with news.follow() as follower:
        await news.apublish("headline", {"text": "x"})
        source, event = await select(channel("quiet"), follower, after(10))
    assert source is follower
    assert (event.name, event.payload) == ("headline", {"text": "x"})


async def test_nothing_to_wait_for_is_an_error() -> None:
    with pytest.raises(ValueError, match="wait for ever"):
        await select()
