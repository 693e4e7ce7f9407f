"""Waiting for the first of several things.

What lives here: `select`, `first_ready` and `after`.
What must not: what is waited for, or how it is put back.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from seaway.channels.receiving import to_its_end
from seaway.exceptions import LayerError

logger = logging.getLogger("seaway.channels")


class Source(Protocol):
    """A `Channel`, a `Follower`, `after`, or anything else with these two methods."""

    def receive(self) -> Coroutine[Any, Any, Any]:
        """The next thing. Cancelled, it takes nothing."""

    def put_back(self, thing: Any, /) -> Coroutine[Any, Any, None]:
        """Undo a ``receive`` whose result, or exception, nobody has looked at."""


S = TypeVar("S", bound=Source)


class After:
    """Made by `after`."""

    __slots__ = ("_due", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._due: float | None = None

    async def receive(self) -> None:
        """Return once the time is over."""
        now = asyncio.get_running_loop().time()
        if self._due is None:
            self._due = now + self.seconds
        await asyncio.sleep(self._due - now)

    async def put_back(self, thing: None) -> None:
        """What is over stays over."""


def after(seconds: float) -> After:
    """A source for `select` that gives None, ``seconds`` after it is first waited for."""
    return After(seconds)


async def select(*sources: Source) -> tuple[Any, Any]:
    """Wait until one of the sources has something; returns that source and what it gave.

    From a channel comes a `Delivery`, from a follower an `Event`, from `after` None. Of several
    that are ready one is chosen at random. Cancelled, it takes nothing from anybody.

    :raises ChannelClosed, EventsMissed, LayerUnavailable: from the source that was chosen.
    """
    if not sources:
        raise ValueError("select() of nothing would wait for ever.")
    return await first_ready(random.sample(sources, len(sources)))


async def first_ready(sources: Sequence[S]) -> tuple[S, Any]:
    """As `select`; of several that are ready the first one is chosen."""
    waiting: dict[asyncio.Future[Any], S] = {}
    try:
        done = await _first(sources, waiting)
    except asyncio.CancelledError:
        await to_its_end(_let_go(waiting))
        raise
    chosen = next(future for future in waiting if future in done)
    source = waiting.pop(chosen)
    try:
        await to_its_end(_let_go(waiting))
    except asyncio.CancelledError:
        await to_its_end(_let_go({chosen: source}))
        raise
    return source, chosen.result()


async def _first(
    sources: Sequence[S], waiting: dict[asyncio.Future[Any], S]
) -> set[asyncio.Future[Any]]:
    """Ask the sources one after the other, for one that is ready at once leaves the others alone;
    then wait for all of them."""
    for source in sources:
        future = asyncio.ensure_future(source.receive())
        waiting[future] = source
        await asyncio.sleep(0)
        if future.done():
            return {future}
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    return done


async def _let_go(waiting: Mapping[asyncio.Future[Any], S]) -> None:
    """Stop waiting for the others, and put back what some of them got in the same moment."""
    for future in waiting:
        future.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    for source, result in zip(waiting.values(), results, strict=True):
        if isinstance(result, asyncio.CancelledError) or result is None:
            continue
        try:
            await source.put_back(result)
        except LayerError as error:
            logger.warning("%r could not be put back: %s", result, error)
