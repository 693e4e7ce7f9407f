"""The newest event of a stream that keeps one: a task's record, a channel's mark.

What lives here: `newest`. What must not: what the event says, or an import of the tasks framework.
"""

from __future__ import annotations

from seaway.layers.base import Gap, Layer, Position


async def newest(layer: Layer, name: str) -> bytes | None:
    """The data of a stream's last event; None when there is none, or none any more."""
    before: Position | None = None
    while True:
        now = await layer.position(name)
        if now.offset == 0 or now == before:
            return None
        page = await layer.read(name, Position(now.epoch, now.offset - 1), limit=1)
        if not isinstance(page, Gap) and page.publications:
            return page.publications[-1].data
        # A new one has taken its place meanwhile; or it is gone, and the position stays.
        before = now
