"""Django's tasks on channels: from enqueue to the result."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from seaway import History, Position
from seaway.conf import layer_home
from seaway.exceptions import SyncCallInLoop
from seaway.layers.base import Page
from seaway.tasks.backend import SeawayBackend
from seaway.tasks.framework import (
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_enqueued,
    task_finished,
    task_started,
)
from seaway.tasks.sources import task_sources
from seaway.workers.runner import Runner
from tests.tasks import tasks
from tests.waiting import until


def backend(**options: Any) -> Any:
    return override_settings(
        TASKS={
            "default": {
                "BACKEND": "seaway.tasks.backend.SeawayBackend",
                "QUEUES": ["default", "printing"],
                "OPTIONS": options,
            }
        }
    )


@pytest.fixture(autouse=True)
def ours() -> Iterator[None]:
    tasks.seen.clear()
    with backend():
        yield


@contextlib.asynccontextmanager
async def working() -> AsyncIterator[None]:
    home = layer_home()
    await home.adopt()
    runners = [
        Runner(home.layer, handler, channels=channels)
        for handler, channels in task_sources().values()
    ]
    running = [asyncio.create_task(runner.run()) for runner in runners]
    try:
        yield
    finally:
        for runner in runners:
            runner.stop()
        await asyncio.wait_for(asyncio.gather(*running), 20)
        await home.release()


async def finished(result: TaskResult[Any]) -> TaskResult[Any]:
    async with asyncio.timeout(20):
        while not result.is_finished:
            await asyncio.sleep(0.01)
            await result.arefresh()
    return result


async def told(result: TaskResult[Any]) -> list[tuple[str, Any]]:
    """What a page that follows the task is told."""
    import msgspec

    async def read(layer: Any) -> Any:
        now = await layer.position(f"tasks/{result.id}")
        return await layer.read(f"tasks/{result.id}", Position(now.epoch, 0))

    page = await layer_home().arun(read)
    assert isinstance(page, Page)
    decoded = [msgspec.json.decode(publication.data) for publication in page.publications]
    return [(event["event"], event["data"]) for event in decoded]


async def test_a_task_runs_and_its_result_is_read_back() -> None:
    async with working():
        result = await tasks.add.aenqueue(1, b=2)
        assert result.status == TaskResultStatus.READY
        await finished(result)
    assert result.return_value == 3
    assert tasks.seen[0][1].startswith("seaway-sync")
    assert len(result.worker_ids) == result.attempts == 1
    assert result.enqueued_at <= result.started_at <= result.finished_at  # type: ignore[operator]


async def test_asynchronous_tasks_and_context() -> None:
    async with working():
        assert (await finished(await tasks.aadd.aenqueue(1, 2))).return_value == 3
        assert (await finished(await tasks.attempt.aenqueue())).return_value == 1


async def test_a_failed_task_has_its_error() -> None:
    async with working():
        result = await finished(await tasks.fail.aenqueue(99))
    assert result.status == TaskResultStatus.FAILED
    [error] = result.errors
    assert error.exception_class is ValueError
    assert "not yet" in error.traceback


@pytest.mark.usefixtures("caplog")
async def test_a_task_is_tried_again_as_often_as_the_options_say() -> None:
    with backend(RETRIES=1):
        async with working():
            result = await finished(await tasks.fail.aenqueue(1))
    assert result.return_value == "at last"
    assert (len(result.errors), result.attempts) == (1, 2)


async def test_a_task_over_its_time_fails() -> None:
    with backend(TIMEOUT=0.1):
        async with working():
            result = await finished(await tasks.forever.aenqueue())
    assert result.errors[0].exception_class_path == "seaway.exceptions.TimeLimitExceeded"


async def test_a_return_value_that_is_not_json_is_a_failure() -> None:
    async with working():
        result = await finished(await tasks.spoil.aenqueue())
    assert "The return value cannot be sent as JSON" in result.errors[0].traceback


async def test_the_more_urgent_come_first() -> None:
    with backend(CONCURRENCY=1):
        home = layer_home()
        await home.adopt()
        for priority in (-10, 0, 10):
            await tasks.note.using(priority=priority).aenqueue(str(priority))
        async with working():
            await until(lambda: len(tasks.seen) == 3)
    assert tasks.seen == ["10", "0", "-10"]


async def test_run_after_waits() -> None:
    async with working():
        later = timezone.now() + timedelta(hours=1)
        result = await tasks.note.using(run_after=later).aenqueue("later")
        soon = timezone.now() + timedelta(seconds=0.2)
        await finished(await tasks.note.using(run_after=soon).aenqueue("soon"))
        await result.arefresh()
    assert tasks.seen == ["soon"]
    assert result.status == TaskResultStatus.READY


async def test_progress_is_told_on_the_topic() -> None:
    async with working():
        for job in (tasks.print_all, tasks.aprint_all):
            result = await finished(await job.aenqueue(500))
            await until_told(result)
            events = await told(result)
            assert events[0] == ("started", {"attempt": 1})
            assert events[-1] == ("finished", {"status": "SUCCESSFUL"})
            reports = [payload for name, payload in events if name == "progress"]
            assert reports[-1]["done"] == 500
            assert len(reports) < 20, "not every report is passed on"


async def until_told(result: TaskResult[Any]) -> None:
    async with asyncio.timeout(10):
        while (await told(result))[-1][0] != "finished":  # noqa: ASYNC110  others see it, we ask
            await asyncio.sleep(0.01)


async def test_signals_are_sent() -> None:
    heard: list[str] = []

    def hear(signal: Any, **_: Any) -> None:
        names = {task_enqueued: "enqueued", task_started: "started", task_finished: "finished"}
        heard.append(names[signal])

    signals = (task_enqueued, task_started, task_finished)
    for signal in signals:
        signal.connect(hear)
    try:
        async with working():
            await finished(await tasks.add.aenqueue(1, 2))
            await until(lambda: len(heard) == 3)
    finally:
        for signal in signals:
            signal.disconnect(hear)
    # A worker may be faster than the code that says that it has enqueued.
    assert sorted(heard) == ["enqueued", "finished", "started"]
    assert heard.index("started") < heard.index("finished")


def test_an_unknown_result_does_not_exist() -> None:
    with pytest.raises(TaskResultDoesNotExist):
        tasks.add.get_result("unknown")


def test_synchronous_code_enqueues_and_reads() -> None:
    result = tasks.add.enqueue(1, 2)
    assert tasks.add.get_result(result.id).status == TaskResultStatus.READY


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_it_is_sent_after_the_commit() -> None:
    with transaction.atomic():
        result = tasks.add.enqueue(1, 2)
        with pytest.raises(TaskResultDoesNotExist):
            result.refresh()
    result.refresh()
    with transaction.atomic():
        lost = tasks.add.enqueue(1, 2)
        transaction.set_rollback(True)
    with pytest.raises(TaskResultDoesNotExist):
        lost.refresh()


@pytest.mark.django_db(transaction=True)
def test_below_async_to_sync_it_is_the_callers_transaction_that_counts() -> None:
    with transaction.atomic():
        result = async_to_sync(tasks.add.aenqueue)(1, 2)
        with pytest.raises(TaskResultDoesNotExist):
            result.refresh()
    result.refresh()
    with backend(ON_COMMIT=False), transaction.atomic():
        async_to_sync(tasks.add.aenqueue)(1, 2).refresh()


async def test_enqueue_in_a_running_loop_says_what_to_do() -> None:
    with pytest.raises(SyncCallInLoop, match=r"await aenqueue\(\) instead"):
        tasks.add.enqueue(1, 2)


def test_without_results_none_can_be_read() -> None:
    with backend(RESULT_SECONDS=0):
        result = tasks.add.enqueue(1, 2)
        with pytest.raises(TaskResultDoesNotExist):
            result.refresh()


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"has no 'RETRY'.*RETRIES"):
        SeawayBackend("default", {"OPTIONS": {"RETRY": 1}})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"RETRIES": -1},
            r"TASKS\['default'\]\['OPTIONS'\]: Expected `int` >= 0 - at `\$\.RETRIES`",
        ),
        ({"TIMEOUT": "soon"}, r"Expected `float \| null`, got `str` - at `\$\.TIMEOUT`"),
        ({"LEASE": 0}, r"LEASE"),
        ({"CONCURRENCY": 0}, r"CONCURRENCY"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        SeawayBackend("default", {"OPTIONS": options})


def test_a_queue_that_cannot_be_named_so_is_named() -> None:
    with pytest.raises(ImproperlyConfigured, match="'my queue' cannot be a queue"):
        SeawayBackend("default", {"QUEUES": ["my queue"]})


def test_history_of_progress_is_bounded() -> None:
    from seaway.tasks.progress import HISTORY

    assert isinstance(HISTORY, History)
    assert HISTORY.size <= 100
