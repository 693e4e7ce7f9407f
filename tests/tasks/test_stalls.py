"""Workers that only stood still, queues that were purged: whose word on a task counts."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone

from seaway.channels.channel import channel
from seaway.channels.delivery import SURE_SECONDS, Delivery
from seaway.conf import layer_home
from seaway.layers.base import Layer
from seaway.tasks.framework import TaskResultStatus
from seaway.tasks.purging import purge
from seaway.tasks.records import Record, decode_record, find
from seaway.tasks.replaying import replay
from seaway.tasks.running import Run
from seaway.tasks.sources import our_backend
from seaway.testing.contract_support import eventually
from tests.tasks import tasks
from tests.tasks.site import Site
from tests.tasks.test_backend import backend, finished, told
from tests.tasks.test_deaths import CHANNEL, DIED, dead, events, fresh, status, working
from tests.waiting import wait_for

PURGED = "seaway.exceptions.TaskPurged"
LEASE = 0.2


def test_the_late_word_of_a_worker_that_stood_still_is_dropped(site: Site) -> None:
    # The local broker gives a stopped process its message back until it has missed its silence.
    site.tasks["default"]["OPTIONS"]["DEATHS"] = 30  # type: ignore[index]
    site.write_settings()
    with override_settings(TASKS=site.tasks, SETTINGS_MODULE="site_settings"):
        first = site.start_worker()
        result = tasks.linger_each.enqueue(str(site.directory))
        wait_for((site.directory / f"begun-{first.pid}").exists, "The first try")
        first.send_signal(signal.SIGSTOP)
        second = site.start_worker()
        wait_for((site.directory / f"begun-{second.pid}").exists, "The second try")
        (site.directory / f"go-{first.pid}").touch()
        first.send_signal(signal.SIGCONT)
        wait_for(lambda: "is dropped" in (site.directory / "worker-0.log").read_text(), "A line")
        assert fresh(result).status == TaskResultStatus.RUNNING
        (site.directory / f"go-{second.pid}").touch()
        wait_for(lambda: fresh(result).is_finished, "The task")
        assert result.return_value == str(second.pid)
        assert [error.exception_class_path for error in result.errors] == [DIED]
        assert [name for name, _ in events(result)].count("finished") == 1


def test_what_was_purged_has_failed(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    worker = site.start_worker()
    running = tasks.linger_each.enqueue(str(site.directory))
    wait_for((site.directory / f"begun-{worker.pid}").exists, "The task")
    begun = time.monotonic()
    wait_for(lambda: time.monotonic() - begun > SURE_SECONDS, "A time of which workers are sure")
    tomorrow = timezone.now() + timedelta(days=1)
    delayed = tasks.add.using(run_after=tomorrow).enqueue(1, 2)
    call_command("channels", CHANNEL, "--purge", "--noinput")
    assert capsys.readouterr().out == "2 messages removed.\n"
    for result in (running, delayed):
        assert fresh(result).status == TaskResultStatus.FAILED
        assert [error.exception_class_path for error in result.errors] == [PURGED]
    (site.directory / f"go-{worker.pid}").touch()
    wait_for(lambda: events(running)[-1] == ("finished", {"status": "FAILED"}), "The end")
    assert fresh(running).status == TaskResultStatus.FAILED
    after = tasks.add.enqueue(3, 4)
    wait_for(lambda: fresh(after).is_finished, "The next task")
    assert after.return_value == 7


# In one process ----------------------------------------------------------------------------------


@pytest.fixture
async def adopted() -> AsyncIterator[None]:
    """The memory engine, on the loop of the test."""
    await layer_home().adopt()
    yield
    await layer_home().release()


class Try:
    """One delivery of the only task, and what a worker would do with it."""

    def __init__(self, layer: Layer, delivery: Delivery, record: Record) -> None:
        ours = our_backend("default")
        assert ours is not None
        self.layer = layer
        self.run = Run(ours, record, delivery)

    async def begin(self) -> None:
        await self.run._begin(self.layer)

    async def end(self) -> None:
        await self.run._end(self.layer, "SUCCESSFUL")

    async def kept(self) -> tuple[str, int]:
        found = await find(self.layer, self.run.record.id)
        assert found is not None
        return found.status, found.attempt


async def taken(lease: float) -> Try:
    layer = layer_home().layer
    [raw] = await layer.receive(CHANNEL, wait=20, lease=lease, tries=99)
    record = decode_record(raw.data)
    return Try(layer, Delivery(raw, record, lease), record)


@pytest.mark.usefixtures("adopted")
async def test_a_try_that_nobody_has_followed_yet_is_the_last_word() -> None:
    with backend():
        result = await tasks.note.aenqueue("late")
        first = await taken(LEASE)
        await first.begin()
        second = await taken(60)  # after the lease of the first
        await first.end()
        assert await first.kept() == ("SUCCESSFUL", 1)
        assert await second.run._is_over(second.layer)
        assert await status(result) == TaskResultStatus.SUCCESSFUL


@pytest.mark.usefixtures("adopted")
async def test_a_try_that_was_followed_writes_and_tells_nothing() -> None:
    with backend():
        result = await tasks.note.aenqueue("late")
        first = await taken(LEASE)
        await first.begin()
        second = await taken(60)
        await second.begin()
        await first.end()
        assert await second.kept() == ("RUNNING", 2)
        await second.end()
        assert await second.kept() == ("SUCCESSFUL", 2)
        assert [name for name, _ in await told(result)].count("finished") == 1


@pytest.mark.usefixtures("adopted")
async def test_a_try_from_before_a_replay_writes_nothing() -> None:
    with backend():
        await tasks.note.aenqueue("late")
        first = await taken(LEASE)
        await first.begin()
        second = await taken(60)
        assert await second.run.delivery.nack(dead=True)
        assert await replay(first.layer, CHANNEL) == 1
        again = await taken(60)
        await again.begin()
        await first.end()
        assert await again.kept() == ("RUNNING", 1)
        await again.end()
        assert await again.kept() == ("SUCCESSFUL", 1)


@pytest.mark.usefixtures("adopted")
async def test_a_try_whose_message_and_record_are_lost_is_the_last_word() -> None:
    """As after the end of a broker that keeps nothing."""
    with backend(RESULT_SECONDS=2.0):
        await tasks.note.aenqueue("late")
        first = await taken(LEASE)
        await first.begin()
        layer, task_id = first.layer, first.run.record.id
        assert await layer.purge(CHANNEL) == 1
        await eventually(lambda: find(layer, task_id), lambda found: found is None)
        await first.end()
        assert await first.kept() == ("SUCCESSFUL", 1)


@pytest.mark.usefixtures("adopted")
async def test_who_holds_a_delivery_is_asked_of_the_layer() -> None:
    short = channel("short", lease=1.0)
    await short.send(1)
    first = await short.receive()
    assert first is not None
    assert await first.still_held()
    second = await channel("short", lease=60).receive()
    assert second is not None
    assert not await first.still_held()
    assert await second.still_held()


@pytest.mark.usefixtures("adopted")
async def test_a_task_that_is_put_in_after_a_purge_is_not_concerned() -> None:
    with backend():
        before = await tasks.note.aenqueue("before")
        await layer_home().arun(lambda layer: purge(layer, CHANNEL))
        after = await tasks.note.aenqueue("after")
        assert await status(after) == TaskResultStatus.READY
        assert await status(before) == TaskResultStatus.FAILED
        async with working():
            await finished(after)
        assert await status(before) == TaskResultStatus.FAILED
    assert tasks.seen[-1] == "after"


@pytest.mark.usefixtures("adopted")
async def test_a_task_that_is_replayed_after_a_purge_is_ready() -> None:
    with backend(DEATHS=0):
        result = await tasks.note.aenqueue("again")
        home = layer_home()
        [raw] = await home.arun(lambda layer: layer.receive(CHANNEL, wait=20))
        await home.arun(lambda layer: layer.nack(raw, dead=True, reason="a test"))
        await home.arun(lambda layer: purge(layer, CHANNEL))
        assert await status(result) == TaskResultStatus.FAILED
        assert await home.arun(lambda layer: replay(layer, CHANNEL)) == 1
        assert await status(result) == TaskResultStatus.READY
        assert await dead() == []


@pytest.mark.usefixtures("adopted")
async def test_purging_a_channel_without_tasks_is_the_layers() -> None:
    home = layer_home()
    await home.arun(lambda layer: layer.send("plain", b"1"))
    assert await home.arun(lambda layer: purge(layer, "plain")) == 1
