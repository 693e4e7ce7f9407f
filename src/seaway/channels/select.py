"""Waiting for the first of several things.

What lives here: `select` and `after`. What must not: what is waited for.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

from seaway.channels.delivery import Delivery


class Source(Protocol):
    """A `Channel`, a `Follower`, `after`, or anything else with a cancellable ``receive``."""

    def receive(self) -> Coroutine[Any, Any, Any]:
        """The next thing. Cancelled, it takes nothing."""


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
    # Who is looked at first is chosen first when several are ready.
    waiting: dict[asyncio.Future[Any], Source] = {
        asyncio.ensure_future(source.receive()): source
        for source in random.sample(sources, len(sources))
    }
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        await _let_go(waiting)
        raise
    chosen = next(future for future in waiting if future in done)
    source = waiting.pop(chosen)
    await _let_go(waiting)
    return source, chosen.result()


async def _let_go(waiting: Iterable[asyncio.Future[Any]]) -> None:
    """Stop waiting for the others, and give back what some of them got in the same moment."""
    for future in waiting:
        future.cancel()
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        if isinstance(result, Delivery):
            await result.nack(reason="another source was chosen")
