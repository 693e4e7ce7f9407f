"""Running one task: its record, its signals, its function, its end.

What lives here: `Run`. What must not: taking from channels; that is `seaway.workers`.

Who holds the message writes the record. A worker that stood still beyond its lease finds out before
it writes (`Run._may_write`): what a later try has begun to write it leaves alone.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from datetime import UTC, datetime
from traceback import format_exception
from typing import TYPE_CHECKING, Any

from seaway.channels.delivery import Delivery
from seaway.conf import layer_home
from seaway.exceptions import GiveUp, LayerError, PayloadTooLarge, WorkerDied
from seaway.layers.base import Layer
from seaway.pool import run_in_pool
from seaway.pool.time_limit import run_limited, within
from seaway.tasks.deaths import death_of, died, is_purged, note_death
from seaway.tasks.framework import TaskContext, TaskResult, task_finished, task_started
from seaway.tasks.progress import Reporter, current
from seaway.tasks.records import Record, find, keep
from seaway.topics.encoding import encode_json
from seaway.workers.patience import patiently

if TYPE_CHECKING:
    from seaway.tasks.backend import SeawayBackend

logger = logging.getLogger("seaway.tasks")


class TaskFailed(Exception):
    """The task is to be tried again; its own exception is the cause."""


class Run:
    """One attempt at one task.

    :param delivery: of its message; counts the attempts from 1.
    """

    def __init__(self, backend: SeawayBackend, record: Record, delivery: Delivery) -> None:
        self.backend = backend
        self.record = record
        self.delivery = delivery
        self.attempt = delivery.attempt
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
            self.record.value = await self._call()
            self._check_value(layer)
        except asyncio.CancelledError:
            try:
                await self._stopped(layer)
            except LayerError as error:  # the process may have closed it: the message says it all
                logger.warning("task %s: try %d was stopped; %s", *self._which, error)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is becomes the task's result
            self.record.value = None
            await self._failed(layer, error)
        else:
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
        task, timeout = result.task, self.backend.timeout
        arguments: list[Any] = list(result.args)
        if task.takes_context:
            arguments.insert(0, TaskContext(task_result=result))
        token = current.set(self._reporter)
        try:
            if not asyncio.iscoroutinefunction(task.func):
                return await run_limited(self._call_in_thread, result, arguments, seconds=timeout)
            await run_in_pool(self._announce, task_started, result)
            return await within(task.func(*arguments, **result.kwargs), timeout)
        finally:
            current.reset(token)

    def _call_in_thread(self, result: TaskResult[Any], arguments: list[Any]) -> Any:
        self._announce(task_started, result)
        return result.task.func(*arguments, **result.kwargs)

    def _announce(self, signal: Any, result: TaskResult[Any]) -> None:
        signal.send(sender=type(self.backend), task_result=result)

    def _check_value(self, layer: Layer) -> None:
        """:raises UnencodablePayload, PayloadTooLarge: nobody could ever read it."""
        size = len(encode_json(self.record.value, "The return value"))
        if self.backend.result_seconds and len(self.record.encode()) > layer.max_data:
            raise PayloadTooLarge(
                f"The return value has {size:,} bytes of JSON: with the arguments and all else of "
                f"the task's record they are more than {layer.max_data:,}."
            )

    # The end -------------------------------------------------------------------------------------

    async def _failed(self, layer: Layer, error: Exception) -> None:
        kind = type(error)
        path = f"{kind.__module__}.{kind.__qualname__}"
        self.record.add_error(path, "".join(format_exception(error)))
        self.record.failures += 1
        # Without records nobody knows which of the tries before this one were deaths.
        failures = self.record.failures if self.backend.result_seconds else self.attempt
        if failures > self.backend.retries or self.attempt >= self.backend.tries:
            await self._end(layer, "FAILED", error)
            return
        self.record.status = "READY"
        await self._write(layer)
        raise TaskFailed(f"{path} in {self.record.task}") from error

    async def _stopped(self, layer: Layer) -> None:
        """The worker has to end; its message is given back, and this counts as a try."""
        note_death(self.record, self.attempt)
        if not await self._may_write(layer):
            return
        if self.attempt < self.backend.tries:
            self.record.status = "READY"
            await keep(layer, self.record, self.backend.result_seconds)
        else:
            await died(layer, self.backend, self.record)

    async def _end(self, layer: Layer, status: str, error: Exception | None = None) -> None:
        record = self.record
        record.status = status
        record.finished_at = datetime.now(UTC)
        if await self._write(layer):
            await run_in_pool(self._announce_end, error)

    async def _write(self, layer: Layer) -> bool:
        """Keep what came of this try, and tell it, if that is still ours to do."""

        async def write() -> bool:
            if not await self._may_write(layer):
                return False
            await keep(layer, self.record, self.backend.result_seconds)
            if self.record.is_finished:
                await self._reporter.tell(layer, "finished", {"status": self.record.status})
            return True

        return await patiently(write, self.backend.lease, f"task {self.record.id}")

    async def _may_write(self, layer: Layer) -> bool:
        """Whether what came of this try is what came of the task. If the message is not ours any
        more it still is, unless another try has begun, or the queue was purged: then the message's
        next receiver will find the task done."""
        if await self.delivery.still_held():
            return True
        kept = await find(layer, self.record.id)
        if kept is None:
            return True  # the engine has lost all there was, or results are kept for a short time
        # Not by the attempt, for a replay counts anew.
        if kept.status != "RUNNING" or kept.last_attempted_at != self.record.last_attempted_at:
            logger.warning(
                "what came of task %s in try %d is dropped: its lease ran out meanwhile, and "
                "another worker has taken it up",
                *self._which,
            )
            return False
        if await is_purged(layer, self.backend, kept):
            logger.warning("what came of task %s in try %d is dropped: purged", *self._which)
            await self._reporter.tell(layer, "finished", {"status": "FAILED"})
            return False
        return True

    @property
    def _which(self) -> tuple[str, int]:
        return self.record.id, self.attempt

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
