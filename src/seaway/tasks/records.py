"""What is kept of a task: one record, rewritten at each step, on a stream of its own.

What lives here: `Record`, its way to a ``TaskResult`` and back, and where it is kept.
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

from seaway.layers.base import Gap, History, Layer, Position
from seaway.tasks.framework import Task, TaskError, TaskResult, TaskResultStatus
from seaway.topics.encoding import encode_json

FINISHED = ("SUCCESSFUL", "FAILED")


class Record(msgspec.Struct):
    """One task that was enqueued; the fields are those of ``TaskResult``.

    :ivar attempt: the delivery of its message that is, or was last, worked on; 0 before the first.
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

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    def to_result(self) -> TaskResult[Any]:
        """:raises ImportError: the task's function is not there any more."""
        task: Task[Any, Any] = import_string(self.task)
        task = task.using(priority=self.priority, queue_name=self.queue, backend=self.backend)
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

    def encode(self) -> bytes:
        """:raises UnencodablePayload: an argument or the return value is not JSON."""
        return encode_json(self, f"The record of {self.task}")


decode_record = msgspec.json.Decoder(Record).decode


def _stream(task_id: str) -> str:
    return f"~tasks/{task_id}"


async def keep(layer: Layer, record: Record, seconds: float) -> None:
    """Make this the record of the task. With 0 seconds none is kept."""
    if seconds > 0:
        history = History(size=1, seconds=seconds)
        await layer.publish(_stream(record.id), record.encode(), history)


async def find(layer: Layer, task_id: str) -> Record | None:
    """The last record of a task; None when there is none, or none any more."""
    before: Position | None = None
    while True:
        now = await layer.position(_stream(task_id))
        if now.offset == 0 or now == before:
            return None
        page = await layer.read(_stream(task_id), Position(now.epoch, now.offset - 1), limit=1)
        if not isinstance(page, Gap) and page.publications:
            return decode_record(page.publications[-1].data)
        # A new record has taken its place meanwhile; or it is gone, and the position stays.
        before = now
