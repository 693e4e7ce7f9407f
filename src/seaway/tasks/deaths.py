"""Tasks that end without their worker: what their record says then, and who writes it.

What lives here: `died`, what it writes, and `look` for those who ask; purged tasks. What must not:
running tasks.

No engine knows what a task is: a message whose lease ran out is handed out once more. So a task's
channels give it a few deliveries more than it may be run: the worker that gets one of these writes
what has become of the task and makes the message a dead letter. A worker with all its hands full
looks for such messages, too (`seaway.workers.runner`). Where no worker is left, whoever
asks for the result finds out (`look`); no process watches the queue for it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from seaway.exceptions import TaskPurged, WorkerDied
from seaway.layers.base import Layer
from seaway.tasks.progress import Reporter
from seaway.tasks.purging import purged_at
from seaway.tasks.records import Record, find, keep

if TYPE_CHECKING:
    from seaway.tasks.backend import SeawayBackend

_KIND = f"{WorkerDied.__module__}.{WorkerDied.__qualname__}"
_PURGED = f"{TaskPurged.__module__}.{TaskPurged.__qualname__}"


def note_death(record: Record, attempt: int) -> None:
    """Add to a record that its worker died in that try."""
    worker = record.worker_ids[-1] if record.worker_ids else "that had it"
    reason = (
        f"The worker {worker} went silent in try {attempt} of this task: it was killed or stopped, "
        "it crashed, stood still, or lost the layer. How far the task got is not known."
    )
    record.add_error(_KIND, f"{_KIND}: {reason}\n")


def death_of(record: Record) -> str:
    """Why a task is FAILED whose last worker died; empty if it failed in another way."""
    if record.status != "FAILED" or not record.errors or record.errors[-1][0] != _KIND:
        return ""
    return record.errors[-1][1].removeprefix(f"{_KIND}: ").strip()


async def died(layer: Layer, backend: SeawayBackend, record: Record) -> None:
    """The last worker that might run it died: write that it FAILED, and tell who follows it."""
    record.status = "FAILED"
    record.finished_at = datetime.now(UTC)
    await keep(layer, record, backend.result_seconds)
    await Reporter(record.id).tell(layer, "finished", {"status": "FAILED"})


async def look(layer: Layer, backend: SeawayBackend, task_id: str) -> Record | None:
    """The record of a task for those who ask: one whose last worker died is not left RUNNING.

    While a worker holds any message of its channel, the task's may be among them, and it is left to
    the workers. If nobody holds any, its worker is gone. One that was purged is not left READY.
    """
    record = await find(layer, task_id)
    if record is None or record.is_finished:
        return record
    if (at := await _purged_at(layer, backend, record)) is not None:
        record.status, record.finished_at = "FAILED", at
        record.add_error(_PURGED, f"{_PURGED}: all messages of its queue were removed.\n")
        return record
    if not _in_its_last_try(record, backend):
        return record
    if (await layer.queue_state(backend.channel_of(record).name)).held:
        return record
    # Once more: a worker writes what came of a task before it lets go of the message.
    record = await find(layer, task_id)
    if record is not None and _in_its_last_try(record, backend):
        note_death(record, record.attempt)
        await died(layer, backend, record)
    return record


async def is_purged(layer: Layer, backend: SeawayBackend, record: Record) -> bool:
    """Whether its message was removed by an operator since it was put in."""
    return await _purged_at(layer, backend, record) is not None


async def _purged_at(layer: Layer, backend: SeawayBackend, record: Record) -> datetime | None:
    at = await purged_at(layer, backend.channel_of(record).name)
    queued_at = record.queued_at or record.enqueued_at
    return at if at is not None and queued_at is not None and queued_at < at else None


def _in_its_last_try(record: Record, backend: SeawayBackend) -> bool:
    return record.status == "RUNNING" and record.attempt >= backend.tries
