"""Running one task: its record, its signals, its function, its end.

What lives here: `Run`. What must not: taking from channels; that is `seaway.workers`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import UTC, datetime
from traceback import format_exception
from typing import TYPE_CHECKING, Any

from seaway.conf import layer_home
from seaway.exceptions import GiveUp, TimeLimitExceeded, WorkerDied
from seaway.layers.base import Layer
from seaway.pool import run_in_pool
from seaway.pool.time_limit import run_limited
from seaway.tasks.deaths import death_of, died, note_death
from seaway.tasks.framework import TaskContext, TaskResult, task_finished, task_started
from seaway.tasks.progress import Reporter, current
from seaway.tasks.records import Record, find, keep
from seaway.topics.encoding import encode_json

if TYPE_CHECKING:
    from seaway.tasks.backend import SeawayBackend


class TaskFailed(Exception):
    """The task is to be tried again; its own exception is the cause."""


class Run:
    """One attempt at one task.

    :param attempt: counts the deliveries of its message from 1.
    """

    def __init__(self, backend: SeawayBackend, record: Record, attempt: int) -> None:
        self.backend = backend
        self.record = record
        self.attempt = attempt
        self._reporter = Reporter(record.id)

    async def execute(self) -> None:
        """Run the task and keep what came of it; nothing, if it is known to have ended.

        :raises TaskFailed: it failed and may be tried again.
        :raises GiveUp: its worker died in its last try.
        """
        layer = layer_home().layer
        if self.attempt > 1 and await self._is_over(layer):
            return
        await self._begin(layer)
        try:
            value = await self._call()
            encode_json(value, "The return value")
        except asyncio.CancelledError:
            await self._stopped(layer)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is becomes the task's result
            await self._failed(layer, error)
        else:
            self.record.value = value
            await self._end(layer, "SUCCESSFUL")

    async def _is_over(self, layer: Layer) -> bool:
        """Look at what the tries before this one have left; whether there is nothing to run."""
        self.record = record = await find(layer, self.record.id) or self.record
        spent = self.attempt > self.backend.tries
        if record.status == "RUNNING" or (spent and not record.is_finished):
            note_death(record, record.attempt or self.attempt - 1)
        if spent and not record.is_finished:
            await died(layer, self.backend, record)
        elif record.is_finished:  # its worker may have died before it could tell
            await self._reporter.tell(layer, "finished", {"status": record.status})
        if spent and (reason := death_of(record)):
            await run_in_pool(self._announce_end, WorkerDied(reason))
            raise GiveUp(reason)
        return record.is_finished

    async def _begin(self, layer: Layer) -> None:
        record, now = self.record, datetime.now(UTC)
        record.status = "RUNNING"
        record.attempt = self.attempt
        record.started_at = record.started_at or now
        record.last_attempted_at = now
        record.worker_ids = [*record.worker_ids, worker_id()]
        await asyncio.gather(
            keep(layer, record, self.backend.result_seconds),
            self._reporter.tell(layer, "started", {"attempt": len(record.worker_ids)}),
        )

    async def _call(self) -> Any:
        result = self.record.to_result()
        task = result.task
        arguments: list[Any] = list(result.args)
        if task.takes_context:
            arguments.insert(0, TaskContext(task_result=result))
        token = current.set(self._reporter)
        try:
            async with asyncio.timeout(self.backend.timeout):
                if asyncio.iscoroutinefunction(task.func):
                    await run_in_pool(self._announce, task_started, result)
                    return await task.func(*arguments, **result.kwargs)
                return await run_limited(self._call_in_thread, result, arguments)
        except TimeoutError as error:
            if self.backend.timeout is None:
                raise
            raise TimeLimitExceeded(f"It ran longer than {self.backend.timeout:g} s.") from error
        finally:
            current.reset(token)

    def _call_in_thread(self, result: TaskResult[Any], arguments: list[Any]) -> Any:
        self._announce(task_started, result)
        return result.task.func(*arguments, **result.kwargs)

    def _announce(self, signal: Any, result: TaskResult[Any]) -> None:
        signal.send(sender=type(self.backend), task_result=result)

    async def _failed(self, layer: Layer, error: Exception) -> None:
        kind = type(error)
        trace = "".join(format_exception(error))
        path = f"{kind.__module__}.{kind.__qualname__}"
        self.record.errors = [*self.record.errors, (path, trace)]
        if self.attempt <= self.backend.retries:
            self.record.status = "READY"
            await keep(layer, self.record, self.backend.result_seconds)
            raise TaskFailed(f"{path} in {self.record.task}") from error
        await self._end(layer, "FAILED", error)

    async def _stopped(self, layer: Layer) -> None:
        """The worker has to end; its message is given back, and this counts as a try."""
        note_death(self.record, self.attempt)
        if self.attempt < self.backend.tries:
            self.record.status = "READY"
            await keep(layer, self.record, self.backend.result_seconds)
        else:
            await died(layer, self.backend, self.record)

    async def _end(self, layer: Layer, status: str, error: Exception | None = None) -> None:
        record = self.record
        record.status = status
        record.finished_at = datetime.now(UTC)
        await keep(layer, record, self.backend.result_seconds)
        await self._reporter.tell(layer, "finished", {"status": status})
        await run_in_pool(self._announce_end, error)

    def _announce_end(self, error: Exception | None) -> None:
        """Receivers may log the exception that is being handled, as Django's own do."""
        try:
            if error is not None:
                raise error
        except Exception:  # noqa: BLE001 - it is the task's, and is told
            self._announce(task_finished, self.record.to_result())
        else:
            self._announce(task_finished, self.record.to_result())


def worker_id() -> str:
    """Names this process to people: host and process number."""
    return f"{socket.gethostname()}:{os.getpid()}"[:64]
