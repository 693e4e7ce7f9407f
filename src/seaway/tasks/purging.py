"""Purging the channels of tasks: what operators' tools call instead of the layer.

What lives here: `purge`, and `purged_at` for those who look at a task's record.
What must not: an import of the tasks framework.

A layer says how many messages it has removed, and not which. So the channel has a mark: when it was
purged last. A task whose message was put in before that, and which has not ended, is FAILED with
`TaskPurged`; nobody writes that into its record, for whoever reads it sees it by the mark.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import msgspec

from seaway.layers.base import History, Layer
from seaway.tasks.newest import newest
from seaway.tasks.queues import PREFIX

#: For how long a channel's mark is kept: longer than results are.
MARK = History(size=1, seconds=366 * 86400.0)

_decode = msgspec.json.Decoder(datetime).decode


async def purge(layer: Layer, channel: str) -> int:
    """As `Layer.purge`. Tasks among the messages are FAILED with `TaskPurged`."""
    if channel.startswith(PREFIX):
        # Before the messages go: a task that is put in meanwhile may have survived.
        await layer.publish(_stream(channel), msgspec.json.encode(datetime.now(UTC)), MARK)
    return await layer.purge(channel)


async def purged_at(layer: Layer, channel: str) -> datetime | None:
    """When the channel was purged last; None: never, as far as is known."""
    data = await newest(layer, _stream(channel))
    return None if data is None else _decode(data)


def _stream(channel: str) -> str:
    # A digest, for a channel's name may be as long as a topic's.
    return f"~purged/{hashlib.sha256(channel.encode()).hexdigest()[:32]}"
