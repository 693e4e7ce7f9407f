"""Replaying dead letters, tasks among them: what operators' tools call instead of the layer.

What lives here: `replay`. What must not: an import of the tasks framework in a project without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from seaway.layers.base import Layer
from seaway.layers.queues import DeadLetter
from seaway.tasks.queues import PREFIX
from seaway.tasks.sources import our_backend

#: Dead letters that are looked at together.
PAGE = 100


async def replay(layer: Layer, channel: str, ids: Sequence[str] | None = None) -> int:
    """As `Layer.replay`. Tasks among them are READY again, as if they had never been run."""
    if channel.startswith(PREFIX):
        skip = 0
        while letters := await layer.dead_letters(channel, PAGE, skip=skip, ids=ids):
            await asyncio.gather(*(_start_anew(layer, letter) for letter in letters))
            skip += len(letters)
    # Only now: a worker that is fast must not have its own record overwritten by ours.
    return await layer.replay(channel, ids)


async def _start_anew(layer: Layer, letter: DeadLetter) -> None:
    from seaway.tasks.records import decode_record, keep

    try:
        record = decode_record(letter.data)
    except (msgspec.MsgspecError, RecursionError):  # it will be a dead letter once more
        return
    backend = our_backend(record.backend)
    if backend is not None:
        record.queued_at = datetime.now(UTC)
        await keep(layer, record, backend.result_seconds)
