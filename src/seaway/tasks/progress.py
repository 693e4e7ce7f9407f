"""A task's progress on a topic: what a page can follow.

What lives here: `report_progress` for tasks, `TaskTopic` for projects, and the events between them.
What must not: results; those are `records`.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Any, ClassVar

from seaway.conf import layer_home
from seaway.layers.base import History, Layer
from seaway.topics.address import TopicAddress
from seaway.topics.encoding import encode_event
from seaway.topics.topic import Topic

#: Events that are kept for a page that comes late or comes back.
HISTORY = History(size=20, seconds=3600.0)
#: Seconds between two reports of one task that are passed on; the last one always is.
REPORT_SECONDS = 0.1


class Reporter:
    """The progress of one run."""

    __slots__ = ("_address", "_said_at", "task_id")

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        self._address = TopicAddress(f"tasks/{task_id}", HISTORY)
        self._said_at = 0.0

    def due(self, done: float, total: float) -> bool:
        now = time.monotonic()
        if done < total and now - self._said_at < REPORT_SECONDS:
            return False
        self._said_at = now
        return True

    async def tell(self, layer: Layer, event: str, payload: dict[str, Any]) -> None:
        """Publish on the task's topic at once, whatever transaction is open."""
        await layer.publish(self._address.name, encode_event(event, payload), HISTORY)


current: ContextVar[Reporter | None] = ContextVar("seaway_task", default=None)


def report_progress(done: float, total: float, note: str = "") -> None:
    """Say how far the running task is, to whoever follows it. Outside a task: nothing.

    May be called as often as one likes: at most ten reports a second are passed on, and the last.

    :param note: a line for people, as in ``"row 12"``.
    """
    reporter = current.get()
    if reporter is not None and reporter.due(done, total):
        payload = {"done": done, "total": total, "note": note}
        layer_home().run(lambda layer: reporter.tell(layer, "progress", payload))


async def areport_progress(done: float, total: float, note: str = "") -> None:
    """`report_progress` for asynchronous tasks."""
    reporter = current.get()
    if reporter is not None and reporter.due(done, total):
        payload = {"done": done, "total": total, "note": note}
        await layer_home().arun(lambda layer: reporter.tell(layer, "progress", payload))


class TaskTopic(Topic):
    """A base for the topic on which a task's progress is told.

    Subclass it in a ``topics.py`` with ``route = "tasks/<str:task_id>"`` and a ``join`` that
    decides who may follow. Events: ``started`` ``{"attempt"}``, ``progress`` ``{"done", "total",
    "note"}`` and ``finished`` ``{"status"}``, where status is SUCCESSFUL or FAILED.
    """

    history: ClassVar[History | None] = HISTORY
