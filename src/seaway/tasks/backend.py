"""``SeawayBackend``: a backend for Django's tasks framework.

What lives here: its options, enqueueing, and reading results. What must not: running tasks.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS, transaction

from seaway.channels.channel import Channel
from seaway.channels.delivery import Delivery
from seaway.channels.handlers import Backoff, Handler
from seaway.conf import layer_home
from seaway.exceptions import ChannelClosed, ChannelFull, PayloadTooLarge
from seaway.layers.base import Layer
from seaway.tasks.deaths import look
from seaway.tasks.framework import (
    BaseTaskBackend,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    task_enqueued,
)
from seaway.tasks.options import read_options
from seaway.tasks.queues import BANDS, band_of, task_channels
from seaway.tasks.records import RESERVE, Record, keep
from seaway.tasks.running import Run
from seaway.topics.address import forbid_running_loop
from seaway.topics.transactions import in_atomic_block, where_transactions_are

#: Deliveries beyond those in which the task is run: in them a worker only says that it is over.
#: More than one, for a worker may die at that, too, or not reach the layer.
BURIALS = 20


class SeawayBackend(BaseTaskBackend):
    """Tasks on channels. See the reference page "Tasks" for its ``OPTIONS``."""

    supports_defer = True
    supports_async_task = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        chosen = self._chosen = read_options(alias, self.options, self.queues)
        self.result_seconds = chosen.RESULT_SECONDS
        self.retries = chosen.RETRIES
        #: Deliveries of a task's message in which it is run.
        self.tries = chosen.RETRIES + 1 + chosen.DEATHS
        self.concurrency = chosen.CONCURRENCY
        self.lease = chosen.LEASE
        self.timeout = chosen.TIMEOUT
        self.on_commit = chosen.ON_COMMIT
        self.supports_get_result = self.result_seconds > 0

    # Enqueueing ----------------------------------------------------------------------------------

    def enqueue(self, task: Task[Any, Any], args: Any, kwargs: Any) -> TaskResult[Any]:
        """Put the task in its queue, after the commit of a transaction that is open.

        :raises InvalidTaskError, TypeError: the task or its arguments do not fit the framework.
        :raises ChannelFull: the queue holds as many tasks as it may.
        :raises SyncCallInLoop: this thread's event loop is running; use `aenqueue`.
        """
        forbid_running_loop("enqueue")
        record, result, delay = self._prepare(task, args, kwargs)
        if not self._deferred(record, delay):
            layer_home().run(lambda layer: self._put(layer, record, delay))
        task_enqueued.send(type(self), task_result=result)
        return result

    async def aenqueue(self, task: Task[Any, Any], args: Any, kwargs: Any) -> TaskResult[Any]:
        """`enqueue` for asynchronous code; below ``async_to_sync()`` the transaction is that of the
        synchronous code above it."""
        record, result, delay = self._prepare(task, args, kwargs)
        if not await where_transactions_are(self._deferred, record, delay):
            await layer_home().arun(lambda layer: self._put(layer, record, delay))
        await task_enqueued.asend(type(self), task_result=result)
        return result

    def _prepare(
        self, task: Task[Any, Any], args: Any, kwargs: Any
    ) -> tuple[Record, TaskResult[Any], float]:
        self.validate_task(task)
        record = Record(
            id=secrets.token_urlsafe(16),
            task=task.module_path,
            backend=self.alias,
            queue=task.queue_name,
            priority=task.priority,
            args=list(args),
            kwargs=dict(kwargs),
            enqueued_at=datetime.now(UTC),
        )
        try:
            result = record.to_result()
        except (TypeError, ValueError, RecursionError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            reason = "They are nested too deeply." if isinstance(error, RecursionError) else error
            raise kind(
                f"The arguments of {record.task} are not what JSON can carry. {reason}"
            ) from error
        record.args, record.kwargs = result.args, result.kwargs
        delay = 0.0
        if task.run_after is not None:
            now = datetime.now(task.run_after.tzinfo)
            delay = max(0.0, (task.run_after - now).total_seconds())
        return record, result, delay

    def _deferred(self, record: Record, delay: float) -> bool:
        """Leave it to the commit of the transaction that is open here, if there is one."""
        if not (self.on_commit and in_atomic_block(DEFAULT_DB_ALIAS)):
            return False
        home = layer_home()
        transaction.on_commit(lambda: home.run(lambda layer: self._put(layer, record, delay)))
        return True

    async def _put(self, layer: Layer, record: Record, delay: float) -> None:
        record.queued_at = datetime.now(UTC)
        data, target = record.encode(), self.channel_of(record)
        limit = layer.max_data - layer.max_data // RESERVE
        if len(data) > limit:
            raise PayloadTooLarge(
                f"The arguments of {record.task} have {len(data):,} bytes of JSON with the task's "
                f"record; {limit:,} are allowed."
            )
        # The record first: a fast worker must not have its own overwritten by ours.
        seconds = self.result_seconds + delay if self.result_seconds else 0.0
        await keep(layer, record, seconds)
        try:
            await layer.send(
                target.name, data, capacity=target.capacity, delay=delay, once=record.id
            )
        except (ChannelFull, ChannelClosed) as error:
            # Who waited for a commit has its id.
            record.status = "FAILED"
            record.add_error(f"{type(error).__module__}.{type(error).__name__}", f"{error}\n")
            await keep(layer, record, seconds)
            raise

    # Results -------------------------------------------------------------------------------------

    def get_result(self, result_id: str) -> TaskResult[Any]:
        """:raises TaskResultDoesNotExist: there is none, or it is older than RESULT_SECONDS."""
        return self._result(result_id, layer_home().run(lambda layer: look(layer, self, result_id)))

    async def aget_result(self, result_id: str) -> TaskResult[Any]:
        """`get_result` for asynchronous code."""
        return self._result(
            result_id, await layer_home().arun(lambda layer: look(layer, self, result_id))
        )

    def _result(self, result_id: str, record: Record | None) -> TaskResult[Any]:
        if record is None:
            raise TaskResultDoesNotExist(result_id)
        return record.to_result()

    # For workers ---------------------------------------------------------------------------------

    def sources(self) -> dict[str, tuple[Handler, Sequence[Channel]]]:
        """Queue → who runs its tasks, and the channels that they are taken from."""
        return {queue: (self._handler(queue), self._channels(queue)) for queue in self.queues}

    def _handler(self, queue: str) -> Handler:
        async def run_task(record: Record, delivery: Delivery) -> None:
            await Run(self, record, delivery).execute()

        run_task.__annotations__ = {"record": Record, "delivery": Delivery}
        return Handler(
            self._channels(queue)[0],
            run_task,
            concurrency=self.concurrency,
            timeout=None,
            backoff=Backoff(),
            tries=self.tries,
            queue=queue,
            label=f"tasks of the queue {queue!r}",
        )

    def channel_of(self, record: Record) -> Channel:
        """Where its message is, or was."""
        return self._channels(record.queue)[BANDS.index(band_of(record.priority))]

    def _channels(self, queue: str) -> list[Channel]:
        return task_channels(
            queue,
            lease=self.lease,
            tries=self.tries + BURIALS,
            capacity=self._chosen.CAPACITY,
        )
