"""Telling the layer what came of work that is done, although the layer is away for a while.

What lives here: `patiently`. What must not: what is told.

Work that is done and not told of is done again. A message is its worker's own until its lease runs
out, and an engine that restarts is back sooner: so long it is worth while to try again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from seaway.channels.delivery import clock
from seaway.exceptions import LayerUnavailable

T = TypeVar("T")

#: Seconds between attempts while the layer cannot be reached.
LAYER_AWAY = 1.0

logger = logging.getLogger("seaway.workers")


async def patiently(tell: Callable[[], Awaitable[T]], seconds: float, what: str) -> T:
    """What ``tell`` returns, which is called again while the layer is away.

    :param what: is told, for the log.
    :raises LayerUnavailable: it was away for so many seconds.
    """
    deadline = clock() + seconds
    while True:
        try:
            return await tell()
        except LayerUnavailable as error:
            if clock() >= deadline:
                raise
            logger.warning("%s waits for the layer: %s", what, error)
        await asyncio.sleep(LAYER_AWAY)
