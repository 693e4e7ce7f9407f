"""A link that is mended when it breaks, and the questions that wait for it.

What lives here: reconnecting with back-off, asking again what may be asked again, time limits.
What must not: what the questions are about; `opened` lets the owner say what a new link needs.

A question goes with what to ask when its answer was lost with the connection (``repeat``). Reads
are asked again as they are; what changes something carries a request's number, by which the server
knows that it has done it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import psycopg
from psycopg.pq.abc import PGresult

from seaway.exceptions import ConfigurationError, LayerError, LayerUnavailable, SeawayError
from seaway.layers.postgres.link import Answer, Link, Question, Refused
from seaway.layers.postgres.statements import Statement
from seaway.layers.postgres.troubles import AGAIN_AT_ONCE, RECONNECT, one_line

logger = logging.getLogger("seaway.layers")

#: Seconds between attempts to reconnect: the first wait and the longest.
FIRST_DELAY, LAST_DELAY = 0.05, 1.0
#: How often a question is asked again after a deadlock or a conflict.
REPEATS = 5

_SAME: Any = object()


class Owner(Protocol):
    """Who uses lines: the layer."""

    timeout: float
    quoted_schema: str

    async def connect(self) -> psycopg.AsyncConnection[Any]:
        """A connection to the server, its tables looked after."""


class Line:
    """One connection of a process, kept alive.

    :param name: for the log.
    :param opened: what to do on a new link before anything else is asked on it.
    """

    def __init__(
        self,
        owner: Owner,
        name: str,
        *,
        opened: Callable[[], Awaitable[None]] | None = None,
        notified: Callable[[bytes, bytes], None] = lambda channel, payload: None,
        broken: Callable[[], None] = lambda: None,
    ) -> None:
        self._owner = owner
        self._name = name
        self._opened = opened
        self._notified = notified
        self._broken = broken
        self._link: Link | None = None
        #: A link that ``opened`` works on; others wait until it has.
        self._fresh: Link | None = None
        self._waiting: deque[Question] = deque()
        self._mending: asyncio.Task[None] | None = None
        self._closed = False
        self.trouble = "not connected"

    @property
    def link(self) -> Link | None:
        return self._link or self._fresh

    # Life ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect for the first time; errors are the caller's."""
        await self._connect()

    def need(self) -> None:
        """Connect in the background, if not connected: for a line that is seldom needed."""
        if self._link is None and self._mending is None and not self._closed:
            self._mending = asyncio.get_running_loop().create_task(self._mend())

    async def close(self) -> None:
        self._closed = True
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.wait([self._mending])
        self._give_up(self._hang_up(), "The layer was closed meanwhile.")

    def forked(self) -> None:
        self._closed = True
        if self.link is not None:
            self.link.forked()

    def drop_if_silent(self, seconds: float) -> None:
        """Break a link on which an answer has been awaited in vain for so long."""
        link = self.link
        if link is not None and link.pending:
            silent = asyncio.get_running_loop().time() - link.heard
            if silent > seconds:
                self._lost(link, f"no answer for {silent:.0f} seconds")

    # Asking --------------------------------------------------------------------------------------

    async def ask(
        self,
        statement: Statement,
        *values: Any,
        repeat: Sequence[Any] | None = _SAME,
        heard: Callable[[Answer | None], None] = lambda answer: None,
    ) -> PGresult:
        """The answer.

        :param heard: called with it at the moment that it is read.
        :param repeat: values to ask with again when the connection was lost; None: do not.
        :raises LayerUnavailable: not in time, or the server refuses.
        """
        future: asyncio.Future[PGresult] = asyncio.get_running_loop().create_future()

        def done(answer: Answer | None) -> None:
            if not future.done():
                heard(answer)
                _settle(future, answer, self.trouble)

        question = self.tell(statement, *values, done=done, repeat=repeat)
        try:
            async with asyncio.timeout(self._owner.timeout):
                return await future
        except TimeoutError:
            raise LayerUnavailable(self._silence()) from None
        finally:
            if not future.done() or future.cancelled():
                self._forget(question)

    def tell(
        self,
        statement: Statement,
        *values: Any,
        done: Callable[[Answer | None], None] = lambda answer: None,
        repeat: Sequence[Any] | None = _SAME,
    ) -> Question:
        """Ask, with a call instead of a wait: ``done`` gets the answer, or None when it will not
        come. Nothing limits the time."""
        question = Question(statement, values, done)
        if repeat is not _SAME:
            question.repeat = repeat
        self._submit(question)
        return question

    def _submit(self, question: Question) -> None:
        link = self._link
        if link is None and self._fresh is not None and _is_current(self._mending):
            link = self._fresh  # asked by ``opened`` itself
        if link is not None:
            link.ask(question)
        elif self._closed:
            question.done(None)
        else:
            self._waiting.append(question)
            self.need()

    def _forget(self, question: Question) -> None:
        """Nobody waits for the answer: what has not been sent is not sent."""
        with contextlib.suppress(ValueError):
            self._waiting.remove(question)

    def _silence(self) -> str:
        if self._link is None:
            return f"PostgreSQL cannot be reached: {self.trouble}."
        return f"PostgreSQL did not answer within {self._owner.timeout:g} seconds."

    # The link ------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        connection = await self._owner.connect()
        link = Link(
            connection,
            self._owner.quoted_schema,
            notified=self._notified,
            answered=self._answered,
            lost=lambda reason: self._lost(link, reason),
        )
        if self._opened is not None:
            self._fresh = link
            try:
                await self._opened()
            except BaseException:
                link.close()
                self._fresh = None
                raise
            if self._fresh is not link:
                raise LayerUnavailable(f"PostgreSQL was lost again: {self.trouble}.")
        self._link, self._fresh = link, None
        waiting, self._waiting = self._waiting, deque()
        for question in waiting:
            self._submit(question)

    def _answered(self, question: Question) -> None:
        answer = question.answer
        if isinstance(answer, Refused):
            if answer.state in AGAIN_AT_ONCE and question.repeats < REPEATS and question.repeat:
                question.repeats += 1
                question.values, question.answer = question.repeat, None
                self._submit(question)
                return
            if answer.state in RECONNECT and question.repeats < REPEATS:
                question.repeats += 1
                question.answer = None
                if self.link is not None:
                    self._lost(self.link, str(answer))
                self._waiting.appendleft(question)  # it was the first of all
                return
        question.done(answer)

    def _lost(self, link: Link, reason: str) -> None:
        if link is not self._link and link is not self._fresh:
            link.close()
            return
        self.trouble = one_line(reason)
        if not self._closed:
            logger.warning("PostgreSQL lost connection=%s reason=%s", self._name, self.trouble)
        fresh = link is self._fresh
        for question in reversed(self._hang_up()):
            if fresh or question.repeat is None:
                question.done(None)
            else:
                question.values, question.answer = question.repeat, None
                self._waiting.appendleft(question)
        self._broken()
        self.need()

    def _hang_up(self) -> deque[Question]:
        link = self.link
        self._link = self._fresh = None
        return deque() if link is None else link.close()

    async def _mend(self) -> None:
        """Reconnect until it works; then the task is over."""
        delay = FIRST_DELAY
        try:
            while not self._closed:
                try:
                    await self._connect()
                except (SeawayError, OSError) as error:
                    self.trouble = one_line(error)
                    if isinstance(error, ConfigurationError):
                        logger.error("PostgreSQL connection=%s: %s", self._name, self.trouble)
                    if isinstance(error, ConfigurationError | LayerError):
                        logger.debug("PostgreSQL connection=%s: %s", self._name, self.trouble)
                else:
                    logger.info("PostgreSQL is back connection=%s", self._name)
                    return
                # Jitter: processes that lost the same server do not come back as one.
                await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311 no secret
                delay = min(LAST_DELAY, delay * 2)
        finally:
            self._mending = None
            if self._link is None and not self._closed:
                self.trouble = self.trouble or "not connected"

    def _give_up(self, questions: deque[Question], reason: str) -> None:
        self.trouble = reason
        waiting, self._waiting = self._waiting, deque()
        for question in (*questions, *waiting):
            question.done(None)


def _is_current(task: asyncio.Task[None] | None) -> bool:
    return True if task is None else task is asyncio.current_task()


def _settle(future: asyncio.Future[PGresult], answer: Answer | None, trouble: str) -> None:
    if answer is None or isinstance(answer, Refused):
        future.set_exception(refusal(answer, trouble))
    else:
        future.set_result(answer)


def refusal(answer: Refused | None, trouble: str) -> LayerUnavailable:
    """What to raise for an answer that is none."""
    if answer is None:
        return LayerUnavailable(f"PostgreSQL was lost: {trouble}")
    return LayerUnavailable(f"PostgreSQL refuses: {one_line(answer)} (SQLSTATE {answer.state})")
