"""Schedules for the property tests: what senders and receivers do, and who is cancelled when.

What lives here: moves, running them, and where the layer lives meanwhile.
What must not: what has to hold; those are the tests.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

from hypothesis import strategies as st

from seaway.conf import layer_home

T = TypeVar("T")

#: Seconds that a whole schedule may take: one that hangs fails, however slow the machine.
PATIENCE = 10.0

#: Turns of the loop between one thing and the next.
turns = st.integers(0, 4)


class Move(NamedTuple):
    """One attempt at something: after how many turns it begins, and after how many more it is
    cancelled, if it is."""

    pause: int
    patience: int | None


moves = st.builds(Move, turns, st.none() | turns)
scripts = st.lists(moves, max_size=12)


class Pace(NamedTuple):
    """How long a turn is: 0 for one of the loop, and where the layer lives."""

    seconds: float
    adopted: bool

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(self.seconds)

    async def attempt(self, move: Move, what: Coroutine[Any, Any, T]) -> T | None:
        """Do it as the move says; None when it was cancelled in time."""
        task = asyncio.ensure_future(what)
        if move.patience is not None:
            for _ in range(move.patience):
                if task.done():
                    break
                await asyncio.sleep(self.seconds)
            task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            actor = asyncio.current_task()
            if actor is not None and actor.cancelling():
                raise  # it is the whole schedule that has failed
            return None


#: On the layer's own loop, where a schedule is the same each time, and across two threads.
HOME = Pace(0.0, adopted=True)
AWAY = Pace(0.0003, adopted=False)


@contextlib.asynccontextmanager
async def _living(pace: Pace) -> AsyncIterator[None]:
    home = layer_home()
    if not pace.adopted:
        yield
        return
    await home.adopt()
    try:
        yield
    finally:
        await home.release()


def play(
    pace: Pace, schedule: Callable[[], Coroutine[Any, Any, None]], patience: float = PATIENCE
) -> None:
    """Run one schedule on a loop of its own."""

    async def all_of_it() -> None:
        async with asyncio.timeout(patience), _living(pace):
            await schedule()

    asyncio.run(all_of_it())
