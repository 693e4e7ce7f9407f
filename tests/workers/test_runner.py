"""A handler at work: what becomes of each message."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from seaway import Backoff, GiveUp, channel
from seaway.channels.handlers import handlers
from seaway.conf import layer_home
from seaway.exceptions import TimeLimitExceeded
from seaway.layers.queues import DeadLetter, QueueState
from seaway.workers.runner import Runner
from tests.waiting import until

AT_ONCE = Backoff(first=0, longest=0)


@contextlib.asynccontextmanager
async def working(name: str = "work", **options: Any) -> AsyncIterator[Runner]:
    """The handler of a channel at work on this loop."""
    home = layer_home()
    await home.adopt()
    handler = handlers.get(name)
    assert handler is not None
    runner = Runner(home.layer, handler, **options)
    task = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        runner.stop()
        await asyncio.wait_for(task, 20)
        await home.release()


async def state(name: str = "work") -> QueueState:
    return await layer_home().arun(lambda layer: layer.queue_state(name))


async def dead(name: str = "work") -> list[DeadLetter]:
    return list(await layer_home().arun(lambda layer: layer.dead_letters(name)))


async def test_plain_and_asynchronous_handlers_take_values() -> None:
    seen: list[Any] = []

    @channel("work").handler()
    def work(value: dict[str, int]) -> None:
        seen.append((value, threading.current_thread().name))

    @channel("awork").handler()
    async def awork(value: int, delivery: Any) -> None:
        seen.append((value, delivery.attempt))

    async with working(), working("awork"):
        await channel("work").send({"a": 1})
        await channel("awork").send(7)
        await until(lambda: len(seen) == 2)
        await until(lambda: True)
    assert (7, 1) in seen
    assert any(value == {"a": 1} and "seaway-sync" in thread for value, thread in seen)


async def test_a_handler_that_fails_is_tried_again_then_its_message_is_dead(
    caplog: pytest.LogCaptureFixture,
) -> None:
    attempts: list[int] = []

    @channel("work", tries=3).handler(backoff=AT_ONCE)
    async def work(value: str, delivery: Any) -> None:
        attempts.append(delivery.attempt)
        raise RuntimeError("no luck")

    with caplog.at_level(logging.CRITICAL):
        async with working() as runner:
            await channel("work").send("x")
            await until(lambda: runner.failed == 3)
            await until(lambda: len(attempts) == 3)
            [letter] = await dead()
    assert attempts == [1, 2, 3]
    assert (letter.attempts, letter.reason) == (3, "RuntimeError: no luck")


async def test_a_reason_of_several_lines_is_kept_as_one(caplog: pytest.LogCaptureFixture) -> None:
    @channel("work", tries=1).handler()
    async def work(value: str) -> None:
        raise RuntimeError(f"\n  first\nsecond {'x' * 10_000}")

    with caplog.at_level(logging.CRITICAL):
        async with working() as runner:
            await channel("work").send("x")
            await until(lambda: runner.failed == 1)
            [letter] = await dead()
    assert letter.reason == f"RuntimeError: first second {'x' * 10_000}"[:500]


async def test_a_failed_message_waits_for_its_back_off() -> None:
    failed = asyncio.Event()

    @channel("work").handler(backoff=Backoff(first=3600, longest=3600))
    async def work(value: str) -> None:
        failed.set()
        raise RuntimeError

    async with working() as runner:
        await channel("work").send("x")
        await asyncio.wait_for(failed.wait(), 10)
        await until(lambda: runner.failed == 1)
        assert (await state()).delayed == 1


@pytest.mark.parametrize(
    ("value", "reason"), [("give up", "hopeless"), (12, "It does not fit: Expected `str`")]
)
async def test_what_is_hopeless_is_dead_at_once(value: Any, reason: str) -> None:
    @channel("work").handler()
    async def work(value: str) -> None:
        raise GiveUp("hopeless")

    async with working() as runner:
        await channel("work").send(value)
        await until(lambda: runner.failed == 1)
        [letter] = await dead()
    assert letter.reason.startswith(reason)
    assert letter.attempts == 1


async def test_an_asynchronous_handler_over_its_time_is_stopped() -> None:
    @channel("work", tries=1).handler(timeout=0.05)
    async def work(value: str) -> None:
        await asyncio.sleep(60)

    async with working() as runner:
        await channel("work").send("x")
        await until(lambda: runner.failed == 1)
        [letter] = await dead()
    assert letter.reason.startswith("TimeLimitExceeded: It ran longer than 0.05 s")


async def test_a_synchronous_handler_over_its_time_is_stopped_in_its_thread() -> None:
    raised: list[type[BaseException]] = []

    @channel("work", tries=1).handler(timeout=0.05)
    def work(value: str) -> None:
        try:
            while True:
                time.sleep(0.001)
        except TimeLimitExceeded as error:
            raised.append(type(error))
            raise

    async with working() as runner:
        await channel("work").send("x")
        await until(lambda: runner.failed == 1)
        [letter] = await dead()
    assert raised == [TimeLimitExceeded]
    assert letter.reason.startswith("TimeLimitExceeded")


async def test_no_more_run_at_a_time_than_were_asked_for() -> None:
    running = most = done = 0

    @channel("work").handler(concurrency=3)
    async def work(value: int) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        done += 1

    async with working():
        for number in range(12):
            await channel("work").send(number)
        await until(lambda: done == 12)
    assert most == 3


async def test_a_long_handler_keeps_its_message() -> None:
    calls = 0
    finish = asyncio.Event()

    @channel("work", lease=1.5).handler(concurrency=2)
    async def work(value: int) -> None:
        nonlocal calls
        calls += 1
        await finish.wait()

    async with working() as runner:
        await channel("work").send(1)
        await until(lambda: calls == 1)
        await asyncio.sleep(3.2)
        finish.set()
        await until(lambda: runner.handled == 1)
    assert calls == 1


async def test_stopping_lets_what_runs_end_and_takes_nothing_more() -> None:
    started, finish = asyncio.Event(), asyncio.Event()

    @channel("work").handler()
    async def work(value: int) -> None:
        started.set()
        await finish.wait()

    async with working() as runner:
        await channel("work").send(1)
        await channel("work").send(2)
        await asyncio.wait_for(started.wait(), 10)
        runner.stop()
        finish.set()
        await until(lambda: runner.handled == 1)
        found = await state()
        assert (found.waiting, found.held) == (1, 0)


async def test_what_is_abandoned_goes_back() -> None:
    started = asyncio.Event()

    @channel("work").handler()
    async def work(value: int) -> None:
        started.set()
        await asyncio.sleep(60)

    async with working() as runner:
        await channel("work").send(1)
        await asyncio.wait_for(started.wait(), 10)
        runner.stop()
        runner.abandon()
        await until(lambda: runner.failed == 1)
        found = await state()
        assert (found.waiting, found.held) == (1, 0)


async def test_data_too_deep_to_be_read_is_dead_at_once() -> None:
    @channel("work").handler()
    async def work(value: Any) -> None:
        raise AssertionError("nobody can read it")

    async with working() as runner:
        await layer_home().arun(lambda layer: layer.send("work", b"[" * 100_000))
        await until(lambda: runner.failed == 1)
        assert (await state()).held == 0
        assert [letter.reason[:15] for letter in await dead()] == ["It does not fit"]
