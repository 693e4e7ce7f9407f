"""The channels of task queues: three for each queue, by priority.

What lives here: their names and order. What must not: who puts tasks in or takes them out.
"""

from __future__ import annotations

from seaway.channels.channel import Channel, channel

#: How the names of their channels begin.
PREFIX = "tasks/"
#: From the most urgent: what a priority over 0, of 0 and below 0 means.
BANDS = ("high", "normal", "low")


def band_of(priority: int) -> str:
    """The band of a priority between -100 and 100."""
    return BANDS[0] if priority > 0 else BANDS[1] if priority == 0 else BANDS[2]


def task_channels(queue: str, *, lease: float, tries: int, capacity: int) -> list[Channel]:
    """The channels of one queue, the most urgent first."""
    return [
        channel(f"{PREFIX}{queue}/{band}", lease=lease, tries=tries, capacity=capacity)
        for band in BANDS
    ]
