"""Background work: its errors are told, and it ends with whoever began it."""

from __future__ import annotations

import asyncio

import pytest

from seaway.layers.background import Background

pytestmark = pytest.mark.asyncio


async def fail() -> None:
    raise ValueError("on purpose")


async def test_what_fails_is_told_and_what_is_cancelled_is_not() -> None:
    told: list[BaseException] = []
    background = Background(told.append)
    failing, waiting = background.spawn(fail()), background.spawn(asyncio.Event().wait())
    assert background.busy
    await asyncio.wait([failing])
    background.cancel()
    await asyncio.wait([waiting])
    assert [str(error) for error in told] == ["on purpose"]
    assert not background.busy


async def test_the_end_waits_for_all_but_who_asks_for_it() -> None:
    background = Background(lambda error: None)
    course: list[str] = []

    async def reluctant() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            course.append("cleared away")

    async def ends_it() -> None:
        await background.end()
        course.append("ended")

    background.spawn(reluctant())
    await asyncio.sleep(0)
    await background.spawn(ends_it())
    assert course == ["cleared away", "ended"]
    assert not background.busy


async def test_who_takes_the_cancellation_for_its_own_is_cancelled_again() -> None:
    background = Background(lambda error: None)
    cancelled = 0

    async def stubborn() -> None:
        nonlocal cancelled
        while cancelled < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1

    background.spawn(stubborn())
    await asyncio.sleep(0)
    await background.end()
    assert cancelled == 2
