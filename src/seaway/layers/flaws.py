"""What is corrupt in an engine's data: counted, so that one bad entry is neither a failure nor lost
in silence.

What lives here: `Flaws`. What must not: how it is recognised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger("seaway.layers")


class Flaws:
    """:param where: the engine, without secrets. :ivar count: corrupt entries that were skipped."""

    __slots__ = ("_where", "count")

    def __init__(self, where: Callable[[], str]) -> None:
        self._where = where
        self.count = 0

    def add(self, what: str, count: int = 1) -> None:
        """Count something corrupt; the first one is logged."""
        if not self.count:
            logger.error(
                "%s in the data of %s is corrupt and was skipped; further ones are only counted",
                what,
                self._where(),
            )
        self.count += count
