"""Following a topic in code, on the memory layer, and wherever the layer goes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator

import pytest
from django.test import override_settings

from seaway import EventsMissed, History, TopicAddress
from seaway.conf import close_layer_home, layer_home
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


# When the layer moves ----------------------------------------------------------------------------

KEPT = TopicAddress("kept", History(size=5000))


@pytest.fixture
def broker() -> Iterator[None]:
    """An engine that outlives its clients."""
    with tempfile.TemporaryDirectory(prefix="sw-") as place:
        close_layer_home()
        with override_settings(SEAWAY={"LAYER": f"local://{place}"}):
            yield
            close_layer_home()


@pytest.mark.usefixtures("broker")
async def test_it_moves_along_when_a_loop_adopts_the_layer_and_when_it_lets_go() -> None:
    home = layer_home()
    async with KEPT.follow() as follower:
        await KEPT.apublish("n", 1)
        assert await numbers(follower, 1) == [1]
        await KEPT.apublish("n", 2)
        await home.adopt()
        await KEPT.apublish("n", 3)
        assert await numbers(follower, 2) == [2, 3]
        await home.release()
        await KEPT.apublish("n", 4)
        assert await numbers(follower, 1) == [4]
        home.close()
        await KEPT.apublish("n", 5)
        assert await numbers(follower, 1) == [5]


@pytest.mark.usefixtures("broker")
async def test_one_that_waits_meanwhile_gets_what_comes_then() -> None:
    async with KEPT.follow() as follower:
        waiting = asyncio.create_task(numbers(follower, 1))
        await asyncio.sleep(0)
        await layer_home().adopt()
        await KEPT.apublish("n", 1)
        assert await waiting == [1]
    await layer_home().release()


@pytest.mark.usefixtures("broker")
async def test_a_slow_reader_moves_along_and_gets_everything_once() -> None:
    count = HIGH_WATER * 2
    async with KEPT.follow() as follower:
        for number in range(count):
            await KEPT.apublish("n", number)
            await asyncio.sleep(0)
        await layer_home().adopt()
        await KEPT.apublish("n", count)
        assert await numbers(follower, count + 1) == list(range(count + 1))
    await layer_home().release()


@pytest.mark.usefixtures("broker")
async def test_one_that_is_cancelled_in_its_move_goes_on() -> None:
    async with KEPT.follow() as follower:
        await KEPT.apublish("n", 1)
        await layer_home().adopt()
        await KEPT.apublish("n", 2)
        found: list[int] = []
        for turns in range(1000):
            receiving = asyncio.create_task(follower.receive())
            for _ in range(turns):
                await asyncio.sleep(0)
            receiving.cancel()
            [result] = await asyncio.gather(receiving, return_exceptions=True)
            if not isinstance(result, BaseException):
                found.append(result.payload)
            if len(found) == 2:
                break
        assert found == [1, 2]
    await layer_home().release()


async def test_what_the_memory_engine_forgot_is_told_once() -> None:
    async with KEPT.follow() as follower:
        await KEPT.apublish("n", 1)
        assert await numbers(follower, 1) == [1]
        await layer_home().adopt()
        with pytest.raises(EventsMissed):
            await numbers(follower, 1)
        await KEPT.apublish("n", 2)
        assert await numbers(follower, 1) == [2]
    await layer_home().release()


@pytest.mark.usefixtures("broker")
async def test_one_that_leaves_after_a_move_leaves_nothing_behind() -> None:
    async with KEPT.follow():
        await layer_home().adopt()
    async with KEPT.follow() as follower:
        await layer_home().release()
        await layer_home().adopt()
        await KEPT.apublish("n", 1)
        assert await numbers(follower, 1) == [1]
    assert [stream for stream in layer_home().hub._streams.values() if not stream.empty] == []
    await layer_home().release()
