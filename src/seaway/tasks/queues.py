"""The channels of task queues: three for each queue, by priority.

What lives here: their names, and what ``runworker`` has to know of them.
What must not: anything that needs the tasks framework to be installed, before a backend asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from seaway.channels.channel import Channel, channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seaway.channels.handlers import Handler

#: From the most urgent: what a priority over 0, of 0 and below 0 means.
BANDS = ("high", "normal", "low")


def band_of(priority: int) -> str:
    """The band of a priority between -100 and 100."""
    return BANDS[0] if priority > 0 else BANDS[1] if priority == 0 else BANDS[2]


def task_channels(queue: str, *, lease: float, tries: int, capacity: int) -> list[Channel]:
    """The channels of one queue, the most urgent first."""
    return [
        channel(f"tasks/{queue}/{band}", lease=lease, tries=tries, capacity=capacity)
        for band in BANDS
    ]


def task_sources() -> dict[str, tuple[Handler, Sequence[Channel]]]:
    """Queue → who runs it and from where, for each queue of each of our backends in ``TASKS``."""
    configured = getattr(settings, "TASKS", None) or {}
    ours = [
        alias
        for alias, options in configured.items()
        if options.get("BACKEND") == "seaway.tasks.backend.SeawayBackend"
    ]
    if not ours:
        return {}
    from seaway.tasks.backend import SeawayBackend
    from seaway.tasks.framework import task_backends

    sources: dict[str, tuple[Handler, Sequence[Channel]]] = {}
    for alias in ours:
        backend = task_backends[alias]
        assert isinstance(backend, SeawayBackend)  # noqa: S101 - chosen by its path above
        sources.update(backend.sources())
    return sources
