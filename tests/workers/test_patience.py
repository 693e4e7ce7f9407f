"""Work that ends while the engine is away: it is told when the engine is back, and done once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Literal

import pytest
from django.test import override_settings

from seaway import channel
from seaway.channels.handlers import handlers
from seaway.conf import layer_home
from seaway.exceptions import LayerUnavailable
from seaway.layers.queues import QueueState
from seaway.tasks.framework import TaskResultStatus
from seaway.tasks.sources import task_sources
from seaway.workers.patience import patiently
from seaway.workers.runner import Runner
from tests.servers.valkey import Valkey
from tests.tasks import tasks
from tests.waiting import until

TASKS = {"default": {"BACKEND": "seaway.tasks.backend.SeawayBackend", "OPTIONS": {"RETRIES": 0}}}


class Finish(asyncio.Event):
    """Ends the work that waits for it."""

    awaited = False

    async def wait(self) -> Literal[True]:
        self.awaited = True
        return await super().wait()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "data").start()
    with override_settings(SEAWAY={"LAYER": server.url}, TASKS=TASKS):
        yield server
    server.kill()


@pytest.fixture
async def impatient(valkey: Valkey) -> AsyncIterator[None]:
    """A layer that soon says that its engine is away."""
    await layer_home().adopt()
    layer_home().layer.timeout = 0.3
    yield
    await layer_home().release()


@pytest.mark.usefixtures("impatient")
async def test_a_handler_that_ends_while_the_engine_is_away_is_not_called_again(
    valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    calls, finish = 0, Finish()

    @channel("work", lease=60).handler()
    async def work(value: int) -> None:
        nonlocal calls
        calls += 1
        await finish.wait()

    handler = handlers.get("work")
    assert handler is not None
    with caplog.at_level(logging.WARNING):
        await channel("work", lease=60).send(1)
        await _ends_while_away(Runner(layer_home().layer, handler), valkey, finish, caplog)
    assert calls == 1
    assert await channel("work").state() == QueueState()


@pytest.mark.usefixtures("impatient")
async def test_a_task_that_ends_while_the_engine_is_away_has_its_result(
    valkey: Valkey, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Finish()
    monkeypatch.setitem(tasks.WAITED_FOR, "finish", finish)
    with caplog.at_level(logging.WARNING):
        result = await tasks.wait_for_it.aenqueue("finish")
        [(handler, channels)] = task_sources().values()
        runner = Runner(layer_home().layer, handler, channels=channels)
        await _ends_while_away(runner, valkey, finish, caplog)
        await result.arefresh()
    assert (result.status, result.attempts) == (TaskResultStatus.SUCCESSFUL, 1)


async def _ends_while_away(
    runner: Runner, valkey: Valkey, finish: Finish, caplog: pytest.LogCaptureFixture
) -> None:
    running = asyncio.create_task(runner.run())
    await until(lambda: finish.awaited)
    # Nothing more is asked of the engine but what is to be told of this one.
    runner.stop()
    await asyncio.sleep(0)
    valkey.server.pause()
    try:
        finish.set()
        await until(lambda: "waits for the layer" in caplog.text)
    finally:
        valkey.server.resume()
    await asyncio.wait_for(running, 30)
    assert runner.handled == 1


async def test_patience_ends() -> None:
    async def tell() -> None:
        raise LayerUnavailable("It is away.")

    with pytest.raises(LayerUnavailable):
        await patiently(tell, 0.0, "A test")
