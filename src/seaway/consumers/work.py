"""The work of all consumers of one event loop.

What lives here: who serves them, a few per turn of the loop, and waiting for all at the end.
What must not: what they do (`run`).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol

from seaway.pool import Mailbox, mailbox

logger = logging.getLogger("seaway.consumers")

#: Consumers that are served in one turn of the loop, at least. A group of thousands must not keep
#: everybody else waiting, and who is served later has more messages by then, which cost less
#: together: a new message to all comes with each turn, at best.
PER_TURN = 2
#: With so many messages waiting for each, all who wait are served in one turn; with half as many,
#: one half of them; so that no mailbox runs over while its consumer is not slow.
ALL_AT = 2048


class Run(Protocol):
    """Who is served."""

    context: contextvars.Context
    task: asyncio.Task[None] | None
    """Who serves it, once that has to wait for something; it says itself that it is done."""

    @property
    def backlog(self) -> int:
        """How many messages wait."""

    def empty(self) -> Coroutine[Any, Any, None]:
        """Handle what has come."""


class Writer(Protocol):
    """Who has something to write at the end of a step."""

    def flush(self) -> None:
        """Write it."""


class Work:
    """One event loop's consumers at work.

    Consumers wait in a line. One task, the server's hand, serves them one after the other, each in
    its own context: most are done in one step, and a task for each would cost as much as a
    handler. A hand whose consumer has to wait for something stays with that one until it is done,
    and another one serves the rest.

    :ivar stepping: a consumer's code is running in a hand. What it writes may wait until the step
        is over, in ``unwritten``, and is written at once then.
    """

    __slots__ = ("_context", "_hand", "_line", "box", "hands", "loop", "stepping", "unwritten")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        #: Where threads of the pool leave what is to be done on the loop.
        self.box: Mailbox = mailbox()
        self.hands: set[asyncio.Task[None]] = set()
        self.stepping = False
        self.unwritten: list[Writer] = []
        self._line: deque[Run] = deque()
        self._hand: asyncio.Task[None] | None = None
        self._context = contextvars.Context()

    def start(self, run: Run) -> None:
        """Have ``run.empty()`` run soon, in a task; in the order of asking."""
        self._line.append(run)
        if self._hand is None:
            self._lend_hand()

    def _lend_hand(self) -> None:
        hand = self._hand = self.loop.create_task(self._serve(), context=self._context)
        self.hands.add(hand)

    async def _serve(self) -> None:
        line = self._line
        me = self._hand
        assert me is not None  # noqa: S101 - for the type checker
        try:
            while line:
                for _ in range(max(PER_TURN, len(line) * line[0].backlog // ALL_AT)):
                    run = line.popleft()
                    rest = self._begin(run)
                    if rest is not None:
                        run.task = me
                        self._let_go(me)
                        await rest
                        return
                    if not line:
                        return
                await asyncio.sleep(0)
        finally:
            self._let_go(me)
            self.hands.discard(me)

    def _begin(self, run: Run) -> _Rest | None:
        """Serve somebody up to where it has to wait. None: it had not to."""
        coroutine = run.empty()
        self.stepping = True
        try:
            waits_for = run.context.run(coroutine.send, None)
        except StopIteration:
            return None
        finally:
            self.stepping = False
            if self.unwritten:
                self.flush()
        return _Rest(self, coroutine, run.context, waits_for)

    def _let_go(self, hand: asyncio.Task[None]) -> None:
        if self._hand is hand:
            self._hand = None
            if self._line:
                self._lend_hand()

    def flush(self) -> None:
        """Write what was put off."""
        unwritten, self.unwritten = self.unwritten, []
        for writer in unwritten:
            writer.flush()

    async def settle(self, seconds: float) -> None:
        """Wait until nobody is at work any more; after so many seconds, cancel who is."""
        deadline = self.loop.time() + seconds
        while self.hands:
            left = deadline - self.loop.time()
            if left <= 0:
                break
            await asyncio.wait({*self.hands}, timeout=left)
        self._line.clear()
        late = list(self.hands)
        for hand in late:
            hand.cancel()
        if late:
            logger.warning("cancelled the handlers of %d consumers at the end", len(late))
            await asyncio.gather(*late, return_exceptions=True)
            # Who was cancelled before it began has not said so.
            self.hands.difference_update(late)
            if self._hand in late:
                self._hand = None


class _Rest:
    """What is left of a coroutine that runs in another context than the task that awaits it.

    Step by step, as a task does it; ``current_task()`` is the one who awaits, and cancelling that
    cancels the coroutine.
    """

    __slots__ = ("_context", "_coroutine", "_waits_for", "_work")

    def __init__(
        self,
        work: Work,
        coroutine: Coroutine[Any, Any, None],
        context: contextvars.Context,
        waits_for: Any,
    ) -> None:
        self._work = work
        self._coroutine = coroutine
        self._context = context
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        work, coroutine = self._work, self._coroutine
        resume: Callable[[Any], Any]
        while True:
            try:
                value, resume = (yield self._waits_for), coroutine.send
            except BaseException as error:  # noqa: BLE001 - it belongs to the coroutine
                value, resume = error, coroutine.throw
            work.stepping = True
            try:
                self._waits_for = self._context.run(resume, value)
            except StopIteration:
                return
            finally:
                work.stepping = False
                work.flush()


_works: dict[asyncio.AbstractEventLoop, Work] = {}


def work_of_loop() -> Work:
    """The running loop's `Work`."""
    loop = asyncio.get_running_loop()
    found = _works.get(loop)
    if found is None:
        for gone in [each for each in list(_works) if each.is_closed()]:
            _works.pop(gone, None)
        found = _works[loop] = Work(loop)
    return found


async def settle(seconds: float) -> None:
    """Wait for the consumers of this loop, at its end; see `Work.settle`."""
    await work_of_loop().settle(seconds)
