"""Those who lack something: a subscriber behind its stream, and a stream behind its layer.

What lives here: reading what was missed, or finding that it is gone.
What must not: delivery to those who lack nothing; that is `fanout`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from seaway.exceptions import LayerError
from seaway.layers.base import Gap, Layer, Position, Publication
from seaway.layers.stream import State, Stream, Subscription

logger = logging.getLogger("seaway.hub")

#: Publications that one step asks the layer for.
PAGE = 200
#: Seconds between attempts while the layer does not answer a repair.
REPAIR_SECONDS = 0.5


def write_recent(subscription: Subscription) -> bool:
    """Write to one that is BEHIND what the stream itself still has, as far as it is writable.

    Returns whether the layer must be asked for the rest.
    """
    stream, cursor = subscription.stream, subscription.cursor
    if subscription.state is not State.BEHIND or not subscription.outlet.writable:
        return False
    if cursor.epoch == stream.flushed.epoch and cursor.offset > stream.flushed.offset:
        return False  # it saw more through another process; the stream's next flush comes back
    recent = stream.recent_after(cursor)
    if recent is None:
        return True
    write_page(subscription, recent)
    return False


def write_page(subscription: Subscription, page: Sequence[Publication]) -> None:
    """Write publications one by one while there is room, and move the cursor along."""
    encoding, outlet = subscription.encoding, subscription.outlet
    for publication in page:
        if not outlet.writable:
            return
        outlet.write(encoding.event(subscription.stream.topic, publication))
        subscription.cursor = publication.position


async def read_on(layer: Layer, subscription: Subscription) -> bool:
    """Catch up from the layer's history. False: what is lacking is gone."""
    stream = subscription.stream
    while write_recent(subscription):
        answer = await layer.read(stream.topic, subscription.cursor, limit=PAGE)
        if subscription.state is not State.BEHIND:
            return True
        if isinstance(answer, Gap):
            return False
        # Not past ``flushed``: what lies beyond will be flushed to everybody, this one too.
        flushed = stream.flushed
        page = [event for event in answer.publications if _up_to(event.position, flushed)]
        if not page and subscription.cursor != flushed:
            return False
        write_page(subscription, page)
    return True


def _up_to(position: Position, limit: Position) -> bool:
    return position.epoch == limit.epoch and position.offset <= limit.offset


async def repair(
    layer: Layer,
    stream: Stream,
    accept: Callable[[Stream, Publication], None],
    watched: Callable[[Stream], bool],
) -> Position | None:
    """Read the hole between ``stream.received`` and the layer's position, in order.

    :param accept: takes each publication that was missing.
    :param watched: whether the stream still matters.
    :returns: None, or, when the hole cannot be read, where the stream stands now.
    """
    while watched(stream):
        try:
            answer = await layer.read(stream.topic, stream.received, limit=PAGE)
        except LayerError as error:
            logger.warning("repair waits topic=%s error=%s", stream.topic, error)
            await asyncio.sleep(REPAIR_SECONDS)
            continue
        if isinstance(answer, Gap):
            return answer.position
        for publication in answer.publications:
            accept(stream, publication)
        if stream.received == answer.position or not answer.publications:
            return None
    return None
