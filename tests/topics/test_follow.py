"""Following a topic in code, on the memory layer."""

from __future__ import annotations

import asyncio

import pytest

from seaway import EventsMissed, History, TopicAddress
from seaway.topics.follow import HIGH_WATER, Follower


async def numbers(follower: Follower, count: int) -> list[int]:
    async with asyncio.timeout(20):
        return [(await follower.receive()).payload for _ in range(count)]


async def test_events_arrive_in_order_with_name_payload_and_position() -> None:
    news = TopicAddress("news")
    async with news.follow() as follower:
        position = await news.apublish("one", 1)
        await news.apublish("two")
        first, second = await follower.receive(), await follower.receive()
    assert (first.name, first.payload, first.position) == ("one", 1, position)
    assert (second.name, second.payload) == ("two", None)


async def test_it_goes_on_after_a_position() -> None:
    news = TopicAddress("news", History(size=10))
    first = await news.apublish("n", 1)
    await news.apublish("n", 2)
    async with news.follow(since=first) as follower:
        await news.apublish("n", 3)
        assert await numbers(follower, 2) == [2, 3]


async def test_what_is_gone_is_told_once_and_following_goes_on() -> None:
    news = TopicAddress("news", History(size=1))
    first = await news.apublish("n", 1)
    await news.apublish("n", 2)
    await news.apublish("n", 3)
    async with news.follow(since=first) as follower:
        with pytest.raises(EventsMissed):
            await follower.receive()
        await news.apublish("n", 4)
        assert await numbers(follower, 1) == [4]


async def test_a_slow_reader_gets_everything_from_history() -> None:
    news = TopicAddress("news", History(size=5000))
    count = HIGH_WATER * 4
    async with news.follow() as follower:
        for number in range(count):
            await news.apublish("n", number)
            await asyncio.sleep(0)
        assert await numbers(follower, count) == list(range(count))


async def test_a_slow_reader_without_history_is_told_that_it_missed_events() -> None:
    news = TopicAddress("news")
    async with news.follow() as follower:
        for number in range(HIGH_WATER * 3):
            await news.apublish("n", number)
            await asyncio.sleep(0.0002)
        assert await numbers(follower, HIGH_WATER) == list(range(HIGH_WATER))
        with pytest.raises(EventsMissed):
            await follower.receive()


async def test_after_the_block_nothing_is_watched() -> None:
    news = TopicAddress("news")
    async with news.follow() as follower:
        pass
    await news.apublish("n", 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await follower.receive()


async def test_it_has_to_be_entered() -> None:
    with pytest.raises(RuntimeError, match="Enter the follower first"):
        await TopicAddress("news").follow().receive()
