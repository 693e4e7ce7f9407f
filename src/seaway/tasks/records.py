"""What is kept of a task: one record, rewritten at each step, on a stream of its own.

What lives here: `Record`, its way to a ``TaskResult`` and back, what fits into it, and where it is
kept.
What must not: enqueueing and running.

The stream ``~tasks/ID`` keeps its last event only, for as long as results are kept: a record is
read back from any process, on any engine, and needs no table. Clients cannot join it; what they
may follow is told on ``tasks/ID`` (`seaway.tasks.progress`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from django.utils.module_loading import import_string

from seaway.layers.base import History, Layer
from seaway.tasks.framework import Task, TaskError, TaskResult, TaskResultStatus
from seaway.tasks.newest import newest
from seaway.topics.encoding import encode_json

FINISHED = ("SUCCESSFUL", "FAILED")
#: Characters of a traceback that are kept, and of each one of a record that would not fit.
TRACE, SHORT_TRACE = 20_000, 300
#: Errors that a record keeps which would not fit with all of them: the last ones.
FEW_ERRORS = 10
#: The part of a record's size that arguments leave free for what comes of the task.
RESERVE = 8


class Record(msgspec.Struct):
    """One task that was enqueued; the fields are those of ``TaskResult``.

    :ivar attempt: the delivery of its message that is, or was last, worked on; 0 before the first.
    :ivar failures: tries that ended with an error of the task's own.
    :ivar queued_at: when its message was put into its channel, the last time.
    """

    id: str
    task: str
    backend: str
    queue: str
    priority: int
    args: list[Any]
    kwargs: dict[str, Any]
    status: str = "READY"
    enqueued_at: datetime | None = None
    started_at: datetime | None = None
    last_attempted_at: datetime | None = None
    finished_at: datetime | None = None
    errors: list[tuple[str, str]] = []
    worker_ids: list[str] = []
    value: Any = None
    attempt: int = 0
    failures: int = 0
    queued_at: datetime | None = None

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    def add_error(self, path: str, trace: str) -> None:
        """:param path: the exception's class. :param trace: is cut in its middle if it is long."""
        if len(trace) > TRACE:
            trace = f"{trace[: TRACE // 2]}\n[…]\n{trace[-TRACE // 2 :]}"
        # A file's name that is no UTF-8 is text that cannot be sent.
        trace = trace.encode("utf-8", "backslashreplace").decode()
        self.errors = [*self.errors, (path, trace)]

    def to_result(self) -> TaskResult[Any]:
        """For who asks. The task of a function that is not there any more raises ImportError."""
        task = self._find_task()
        result: TaskResult[Any] = TaskResult(
            task=task,
            id=self.id,
            status=TaskResultStatus[self.status],
            enqueued_at=self.enqueued_at,
            started_at=self.started_at,
            last_attempted_at=self.last_attempted_at,
            finished_at=self.finished_at,
            args=self.args,
            kwargs=self.kwargs,
            backend=self.backend,
            errors=[
                TaskError(exception_class_path=path, traceback=traceback)
                for path, traceback in self.errors
            ],
            worker_ids=list(self.worker_ids),
        )
        object.__setattr__(result, "_return_value", self.value)
        return result

    def _find_task(self) -> Task[Any, Any]:
        try:
            found = import_string(self.task)
        except Exception as error:  # noqa: BLE001 - whatever its module raises when it is imported
            return self._missing(f"{type(error).__name__}: {error}")
        if not isinstance(found, Task):
            return self._missing("What has this name is no task.")
        return found.using(priority=self.priority, queue_name=self.queue, backend=self.backend)

    def _missing(self, reason: str) -> Task[Any, Any]:
        path = self.task

        def missing(*args: object, **kwargs: object) -> None:
            raise ImportError(
                f"The task {path} is not here. {reason} Was it renamed, or moved, since it was "
                "enqueued, or does this process run older code than who enqueued it?"
            )

        missing.__module__, _, missing.__name__ = path.rpartition(".")
        missing.__qualname__ = missing.__name__
        return Task(
            func=missing, priority=self.priority, queue_name=self.queue, backend=self.backend
        )

    def encode(self) -> bytes:
        """:raises UnencodablePayload: an argument or the return value is not JSON."""
        return encode_json(self, f"The record of {self.task}")

    def encode_to_fit(self, size: int) -> bytes:
        """`encode`; with less of its errors if it is larger than ``size``."""
        data = self.encode()
        if len(data) > size and self.errors:
            self.errors = [(path, text[-SHORT_TRACE:]) for path, text in self.errors[-FEW_ERRORS:]]
            data = self.encode()
        return data


decode_record = msgspec.json.Decoder(Record).decode


def _stream(task_id: str) -> str:
    return f"~tasks/{task_id}"


async def keep(layer: Layer, record: Record, seconds: float) -> None:
    """Make this the record of the task. With 0 seconds none is kept."""
    if seconds > 0:
        history = History(size=1, seconds=seconds)
        await layer.publish(_stream(record.id), record.encode_to_fit(layer.max_data), history)


async def find(layer: Layer, task_id: str) -> Record | None:
    """The last record of a task; None when there is none, or none any more."""
    data = await newest(layer, _stream(task_id))
    return None if data is None else decode_record(data)
