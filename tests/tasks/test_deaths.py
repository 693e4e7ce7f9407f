"""Tasks whose worker dies: what becomes of them, and who is told. Real workers, on every engine."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import call_command
from django.test import override_settings

from seaway import Position
from seaway.channels.delivery import Delivery
from seaway.conf import layer_home
from seaway.layers.base import Gap, Layer
from seaway.layers.queues import DeadLetter
from seaway.tasks.framework import TaskResult, TaskResultStatus, task_finished
from seaway.tasks.records import decode_record
from seaway.tasks.running import Run
from seaway.tasks.sources import our_backend, task_sources
from seaway.testing.contract_support import eventually
from seaway.workers.runner import Runner
from tests.tasks import tasks
from tests.tasks.site import Site
from tests.tasks.test_backend import backend, finished, told
from tests.waiting import until, wait_for

CHANNEL = "tasks/default/normal"
RUNNING = TaskResultStatus.RUNNING
DIED = "seaway.exceptions.WorkerDied"


def events(result: TaskResult[Any]) -> list[tuple[str, Any]]:
    """What a page that follows the task was told. Reads no result, which would find out itself."""

    async def read(layer: Layer) -> list[tuple[str, Any]]:
        topic = f"tasks/{result.id}"
        now = await layer.position(topic)
        page = await layer.read(topic, Position(now.epoch, 0))
        assert not isinstance(page, Gap)
        decoded = [msgspec.json.decode(publication.data) for publication in page.publications]
        return [(event["event"], event["data"]) for event in decoded]

    return layer_home().run(read)


def letters() -> list[DeadLetter]:
    return list(layer_home().run(lambda layer: layer.dead_letters(CHANNEL)))


def fresh(result: TaskResult[Any]) -> TaskResult[Any]:
    result.refresh()
    return result


def test_the_next_worker_says_that_it_failed_and_a_replay_starts_it_anew(site: Site) -> None:
    first = site.start_worker()
    result = tasks.linger.enqueue(str(site.directory))
    site.kill_in_the_midst(first)
    second = site.start_worker()
    wait_for(lambda: events(result)[-1] == ("finished", {"status": "FAILED"}), "The end")
    assert fresh(result).status == TaskResultStatus.FAILED
    [error] = result.errors
    assert error.exception_class_path == DIED
    assert f":{first.pid} went silent in try 1" in error.traceback
    [letter] = wait_for(letters, "The dead letter")
    assert f":{first.pid} went silent in try 1" in letter.reason

    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 0
    call_command("channels", CHANNEL, "--replay")
    assert (fresh(result).status, result.errors) == (TaskResultStatus.READY, [])
    assert letters() == []
    site.let_go()
    site.start_worker()
    wait_for(lambda: fresh(result).is_finished, "The task")
    assert result.return_value == "at last"
    assert (result.errors, result.attempts) == ([], 1)


def test_where_no_worker_is_left_who_asks_finds_out(site: Site) -> None:
    worker = site.start_worker()
    result = tasks.linger.enqueue(str(site.directory))
    site.kill_in_the_midst(worker)
    wait_for(lambda: fresh(result).is_finished, "The end")
    assert result.status == TaskResultStatus.FAILED
    assert [error.exception_class_path for error in result.errors] == [DIED]
    assert events(result)[-1] == ("finished", {"status": "FAILED"})
    assert letters() == [], "it waits for a worker, who buries it"


def test_a_death_before_the_last_try_is_told_too(site: Site) -> None:
    site.tasks["default"]["OPTIONS"]["DEATHS"] = 1  # type: ignore[index]
    site.write_settings()
    with override_settings(TASKS=site.tasks, SETTINGS_MODULE="site_settings"):
        first = site.start_worker()
        result = tasks.linger.enqueue(str(site.directory))
        site.kill_in_the_midst(first)
        site.let_go()
        site.start_worker()
        wait_for(lambda: fresh(result).is_finished, "The task")
    assert result.return_value == "at last"
    assert [error.exception_class_path for error in result.errors] == [DIED]
    assert len(result.worker_ids) == 2


# In one process ----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    tasks.seen.clear()


@pytest.fixture
async def adopted() -> AsyncIterator[None]:
    """The memory engine, on the loop of the test."""
    await layer_home().adopt()
    yield
    await layer_home().release()


@contextlib.asynccontextmanager
async def working() -> AsyncIterator[list[Runner]]:
    """Workers of all queues."""
    runners = [
        Runner(layer_home().layer, handler, channels=channels)
        for handler, channels in task_sources().values()
    ]
    running = [asyncio.create_task(runner.run()) for runner in runners]
    try:
        yield runners
    finally:
        for runner in runners:
            runner.stop()
        await asyncio.wait_for(asyncio.gather(*running), 20)


async def lose(lease: float = 0.05) -> None:
    """Take a task as a worker does that dies before it looks at it."""
    await layer_home().arun(lambda layer: layer.receive(CHANNEL, wait=20, lease=lease, tries=99))


async def status(result: TaskResult[Any]) -> TaskResultStatus:
    await result.arefresh()
    return result.status


async def dead() -> list[DeadLetter]:
    return list(await layer_home().arun(lambda layer: layer.dead_letters(CHANNEL)))


async def waiting() -> int:
    return (await layer_home().arun(lambda layer: layer.queue_state(CHANNEL))).waiting


@pytest.mark.usefixtures("adopted")
async def test_a_worker_with_full_hands_says_it_too(tmp_path: Path) -> None:
    # Long enough for a busy machine to extend it in time: it looks for deaths once in a lease.
    with backend(DEATHS=0, LEASE=1.5, CONCURRENCY=1):
        lost = await tasks.add.aenqueue(1, 2)
        await lose()
        await eventually(waiting, lambda count: count == 1)
        # One that is more urgent takes the only hand.
        busy = await tasks.linger.using(priority=1).aenqueue(str(tmp_path))
        async with working():
            await until((tmp_path / "begun").exists)
            behind = await tasks.attempt.aenqueue()
            await finished(lost)
            assert await status(busy) == RUNNING
            (tmp_path / "go").touch()
            assert (await finished(behind)).return_value == 1
            await finished(busy)
    assert lost.status == TaskResultStatus.FAILED
    assert tasks.seen == []
    [letter] = await dead()
    assert "went silent in try 1" in letter.reason


@pytest.mark.usefixtures("adopted")
async def test_what_ended_before_its_worker_died_is_not_run_again() -> None:
    with backend():
        result = await tasks.note.aenqueue("once")
        [taken] = await layer_home().layer.receive(CHANNEL, wait=20, lease=0.1, tries=99)
        ours = our_backend("default")
        assert ours is not None
        record = decode_record(taken.data)
        await Run(ours, record, Delivery(taken, record, 0.1)).execute()  # and no more
        async with working() as runners:
            await until(lambda: sum(runner.handled for runner in runners) == 1)
        assert (await waiting(), await dead()) == (0, [])
        await result.arefresh()
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert tasks.seen == ["once"]


@pytest.mark.usefixtures("adopted")
async def test_signals_tell_of_a_death() -> None:
    heard: list[tuple[str, TaskResultStatus]] = []

    def hear(task_result: TaskResult[Any], **_: Any) -> None:
        heard.append((task_result.id, task_result.status))

    task_finished.connect(hear)
    try:
        with backend(DEATHS=0):
            result = await tasks.note.aenqueue("never")
            await lose()
            async with working():
                await until(lambda: bool(heard))
    finally:
        task_finished.disconnect(hear)
    assert heard == [(result.id, TaskResultStatus.FAILED)]
    assert tasks.seen == []


@pytest.mark.usefixtures("adopted")
async def test_a_task_that_is_stopped_is_ready_again_with_the_reason(tmp_path: Path) -> None:
    with backend(DEATHS=1):
        result = await tasks.aforever.aenqueue()
        async with working() as runners:
            await eventually(lambda: status(result), lambda found: found == RUNNING)
            for runner in runners:
                runner.stop()
                runner.abandon()
        assert await status(result) == TaskResultStatus.READY
        assert [error.exception_class_path for error in result.errors] == [DIED]
        async with working() as runners:
            await eventually(lambda: status(result), lambda found: found == RUNNING)
            for runner in runners:
                runner.stop()
                runner.abandon()
        assert await status(result) == TaskResultStatus.FAILED
        assert len(result.errors) == 2
        assert (await told(result))[-1] == ("finished", {"status": "FAILED"})
        async with working():
            await eventually(dead, bool)


@pytest.mark.usefixtures("adopted")
async def test_without_results_a_death_is_a_dead_letter_all_the_same() -> None:
    with backend(DEATHS=0, RESULT_SECONDS=0):
        result = await tasks.note.aenqueue("never")
        await lose()
        async with working():
            await eventually(dead, bool)
        assert (await told(result))[-1] == ("finished", {"status": "FAILED"})
    assert tasks.seen == []
