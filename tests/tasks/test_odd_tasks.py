"""Tasks that do what tasks should not: each ends, with an error that says whose fault it is."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from seaway.channels.channel import channel
from seaway.conf import layer_home
from seaway.exceptions import ChannelFull, PayloadTooLarge, UnencodablePayload
from seaway.tasks.framework import TaskResult, TaskResultStatus
from tests.tasks import tasks
from tests.tasks.test_backend import backend, finished
from tests.tasks.test_backend import working as serving
from tests.tasks.test_deaths import CHANNEL, dead, lose, working

MEGABYTE = 1024 * 1024


@pytest.fixture(autouse=True)
def ours() -> Any:
    tasks.seen.clear()
    with backend():
        yield


@pytest.fixture
async def adopted() -> AsyncIterator[None]:
    """The memory engine, on the loop of the test."""
    await layer_home().adopt()
    yield
    await layer_home().release()


async def failed(result: TaskResult[Any]) -> str:
    """How the only try of a task ended."""
    await finished(result)
    assert result.status == TaskResultStatus.FAILED
    [error] = result.errors
    return f"{error.exception_class_path}: {error.traceback}"


@pytest.mark.usefixtures("adopted")
async def test_what_comes_of_a_task_and_cannot_be_kept_is_its_failure() -> None:
    async with working():
        too_large = await failed(await tasks.repeat.aenqueue("x", MEGABYTE))
        assert too_large.startswith("seaway.exceptions.PayloadTooLarge")
        assert "The return value has 1,048,578 bytes" in too_large
        # Each of them fits, but not both.
        assert "PayloadTooLarge" in await failed(await tasks.repeat.aenqueue("x" * 600_000, 1))
        unreadable = await failed(await tasks.repeat.aenqueue("x", MEGABYTE + 1))
        assert "PayloadTooLarge" in unreadable
    assert await dead() == []


@pytest.mark.usefixtures("adopted")
async def test_an_error_of_any_length_and_kind_is_kept() -> None:
    with backend(RETRIES=1, CONCURRENCY=1):
        async with working():
            long = await tasks.fail_at_length.aenqueue("x", 3 * MEGABYTE)
            await finished(long)
    assert len(long.errors) == 2
    assert all(error.exception_class is ValueError for error in long.errors)
    assert all(len(error.traceback) < 30_000 for error in long.errors)


@pytest.fixture
def no_log() -> Iterator[None]:
    """What is logged goes from one process of the test run to another, as text in UTF-8."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("adopted", "no_log")
async def test_an_error_that_names_a_file_as_no_text_can_is_kept() -> None:
    async with working():
        result = await tasks.raise_surrogate.aenqueue()
        assert r"bad \udcff" in await failed(result)


@pytest.mark.parametrize("how", ["exit", "interrupt", "cancel"])
@pytest.mark.usefixtures("adopted")
async def test_nothing_that_a_task_raises_ends_its_worker(how: str) -> None:
    async with working():
        for job in (tasks.leave, tasks.aleave):
            assert "builtins.RuntimeError" in await failed(await job.aenqueue(how))
        assert (await finished(await tasks.add.aenqueue(1, 2))).return_value == 3


@pytest.mark.usefixtures("adopted")
async def test_a_time_out_of_its_own_is_not_the_limit() -> None:
    with backend(TIMEOUT=60):
        async with working():
            assert "builtins.TimeoutError" in await failed(await tasks.time_out.aenqueue())


async def test_waiting_for_a_thread_does_not_count_as_running() -> None:
    threads = override_settings(SEAWAY={"LAYER": "memory://", "THREADS": 1})
    with threads, backend(TIMEOUT=3.0, CONCURRENCY=4):
        async with serving():
            results = [await tasks.nap.aenqueue(1.0) for _ in range(4)]
            for result in results:
                await finished(result)
    assert [result.status for result in results] == [TaskResultStatus.SUCCESSFUL] * 4


@pytest.mark.parametrize("name", ["tests.tasks.tasks.renamed", "tests.tasks.tasks.no_task", "no.x"])
@pytest.mark.usefixtures("adopted")
async def test_a_task_whose_function_is_gone_fails_and_its_result_can_be_read(name: str) -> None:
    result = await tasks.add.aenqueue(1, 2)
    home = layer_home()
    [raw] = await home.arun(lambda layer: layer.receive(CHANNEL, wait=20))
    data = raw.data.replace(b"tests.tasks.tasks.add", name.encode())
    assert data != raw.data
    await home.arun(lambda layer: layer.ack(raw))
    await home.arun(lambda layer: layer.send(CHANNEL, data))
    async with working():
        reason = await failed(result)
    assert reason.startswith("builtins.ImportError")
    assert f"The task {name} is not here." in reason
    assert await dead() == []


def test_arguments_that_cannot_be_sent_are_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"The arguments of tests\.tasks\.tasks\.add are not what"):
        tasks.add.enqueue(object(), 1)  # type: ignore[arg-type]
    with pytest.raises(UnencodablePayload):
        tasks.note.enqueue("\udcff")
    with pytest.raises(PayloadTooLarge, match=r"The arguments of tests\.tasks\.tasks\.note have"):
        tasks.note.enqueue("x" * 1_000_000)
    deep: list[Any] = []
    for _ in itertools.repeat(None, 2000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        tasks.note.enqueue(deep)  # type: ignore[arg-type]


def test_a_task_that_found_no_room_after_the_commit_has_failed() -> None:
    with backend(CAPACITY=1):
        tasks.note.enqueue("first")
        with pytest.raises(ChannelFull), transaction.atomic():
            result = tasks.note.enqueue("second")
        result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class is ChannelFull


@pytest.mark.parametrize("aware", [True, False])
def test_run_after_is_understood_with_and_without_time_zones(aware: bool) -> None:
    with override_settings(USE_TZ=aware):
        for later in (timezone.now() + timedelta(hours=1), timezone.now()):
            tasks.note.using(run_after=later).enqueue("later")
    state = layer_home().run(lambda layer: layer.queue_state(CHANNEL))
    assert (state.delayed, state.waiting) == (1, 1)


@pytest.mark.usefixtures("adopted")
async def test_a_death_takes_no_retry_away() -> None:
    with backend(RETRIES=1, DEATHS=1):
        result = await tasks.fail.aenqueue(1)
        await lose()
        async with working():
            await finished(result)
    assert result.status == TaskResultStatus.SUCCESSFUL
    # The worker died before it had begun.
    assert [error.exception_class for error in result.errors] == [ValueError]


@pytest.mark.usefixtures("adopted")
async def test_a_task_that_fails_each_time_is_tried_as_often_as_asked() -> None:
    with backend(RETRIES=1, DEATHS=3):
        result = await tasks.fail.aenqueue(99)
        async with working():
            await finished(result)
    assert (result.status, len(result.errors)) == (TaskResultStatus.FAILED, 2)


@pytest.mark.usefixtures("adopted")
async def test_a_death_is_told_although_something_more_urgent_never_ends() -> None:
    with backend(DEATHS=0, LEASE=0.5, CONCURRENCY=1):
        lost = await tasks.note.using(priority=-1).aenqueue("lost")
        low = channel("tasks/default/low")
        assert await layer_home().layer.receive(low.name, wait=20, lease=0.05, tries=99)
        busy = True

        async def keep_busy() -> None:
            while busy:
                await tasks.nap.using(priority=1).aenqueue(0.05)
                await asyncio.sleep(0.02)

        async with working():
            keeper = asyncio.create_task(keep_busy())
            await finished(lost)
            busy = False
            await keeper
    assert lost.status == TaskResultStatus.FAILED
    assert tasks.seen == []
