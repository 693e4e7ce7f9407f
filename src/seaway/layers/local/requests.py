"""Requests on their way to the broker, over the loss of a connection too.

What lives here: `Requests`: what was asked, what was written, what is still to be answered.
What must not: what the requests mean, or how a connection is made.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
from collections.abc import Callable
from typing import Any

import msgspec

from seaway.exceptions import ChannelClosed, ChannelFull, LayerError, LayerUnavailable
from seaway.layers.base import Position
from seaway.layers.local import frames, queue_wire, wire
from seaway.layers.local.link import Link

#: Called at the moment that an answer is read, before what follows it.
Then = Callable[[wire.Answer], None]

#: Seconds in which the broker answers a `Cancel`; if not, the link is given up.
CANCEL_TIMEOUT = 10.0


class Again(enum.Enum):
    """Whether a request that had been written may be asked again when its connection is lost."""

    ANYWHERE = enum.auto()  # done twice it is as good as done once
    SAME_BROKER = enum.auto()  # which knows whether it has done it; another one does not


class _Request(msgspec.Struct, eq=False):
    """One request. Without ``future`` it is the layer's own and dies with its link.

    :ivar frame: None for one that waits: its wait is what is left of it when it is written.
    :ivar until: when its wait is over, for one that waits.
    :ivar written: ever, on this link or an earlier one.
    """

    question: wire.Question
    frame: bytes | None
    deadline: float
    future: asyncio.Future[Any] | None = None
    then: Then | None = None
    again: Again = Again.ANYWHERE
    until: float = 0.0
    written: bool = False

    @property
    def abandoned(self) -> bool:
        return self.future is not None and self.future.done()

    def to_write(self, now: float) -> bytes:
        if self.frame is not None:
            return self.frame
        question = self.question
        assert isinstance(question, queue_wire.Send | queue_wire.Receive)  # noqa: S101
        return frames.frame(msgspec.structs.replace(question, wait=max(0.0, self.until - now)))

    def fail(self, reason: str) -> None:
        if self.future is not None and not self.future.done():
            if self.written and self.again is Again.SAME_BROKER:
                reason += _not_known(self.question)
            self.future.set_exception(LayerUnavailable(reason))


class Requests:
    """All requests of one layer, on its loop. No task and no timer per request.

    :ivar link: where they are written; None while there is no broker, and then they wait.
    :ivar next_id: makes the id of the next request.
    """

    def __init__(self) -> None:
        self.link: Link | None = None
        self._loop = asyncio.get_running_loop()
        self.next_id = itertools.count(1).__next__
        self._pending: dict[int, _Request] = {}
        self._out: list[_Request] = []
        #: The last request written that is answered at once, and the last one answered.
        self._said = self._heard = 0
        self._apart_since = self._loop.time()
        #: Waiting requests that were given up while there was no link.
        self._cancelled: list[int] = []

    def ask(
        self,
        question: wire.Question,
        timeout: float,
        *,
        then: Then | None = None,
        again: Again = Again.ANYWHERE,
    ) -> asyncio.Future[Any]:
        """Send a request that is answered at once. What is returned becomes its answer, or the
        event's position for a `wire.Publish`.

        :param then: called with the answer before anything that follows it is looked at.
        :param again: what happens to it when its connection is lost after it had been written.
        """
        frame = frames.frame(question)
        loop, id_ = self._loop, question.id
        future: asyncio.Future[Any] = loop.create_future()
        request = _Request(question, frame, loop.time() + timeout, future, then, again)
        self._pending[id_] = request
        link = self.link
        if link is None:
            return future
        if self._out or self._heard < self._said:
            self._send(request)
        else:
            # Nothing is under way, so there is nothing to join it with: it goes now. While an
            # answer is awaited, requests are joined; this is Nagle's algorithm (RFC 896).
            request.written = True
            self._said = id_
            link.write(frame)
        return future

    async def take(
        self,
        question: queue_wire.Send | queue_wire.Receive,
        timeout: float,
        again: Again = Again.ANYWHERE,
    ) -> wire.Answer:
        """Send a request that may wait at the broker, and wait for its answer. Given up, what it
        did is undone."""
        wait = question.wait
        future: asyncio.Future[wire.Answer]
        if wait > 0:
            future = self._loop.create_future()
            now = self._loop.time()
            request = _Request(question, None, now + timeout + wait, future, None, again)
            request.until = now + wait
            self._pending[question.id] = request
            if self.link is not None:
                self._send(request)
        else:
            future = self.ask(question, timeout, again=again)
            request = self._pending[question.id]
        try:
            return await future
        except (asyncio.CancelledError, LayerUnavailable):
            if request.written:
                self._cancel(question.id)
            raise
        finally:
            self._pending.pop(question.id, None)

    def tell(self, question: wire.Question, timeout: float, then: Then | None = None) -> None:
        """Send a request of the layer's own. Without a link there is nobody who has to know."""
        if self.link is not None:
            deadline = self._loop.time() + timeout
            request = _Request(question, frames.frame(question), deadline, None, then)
            self._pending[question.id] = request
            self._send(request)

    def _cancel(self, id_: int) -> None:
        """Nobody waits for this any more: what it was handed, or is on its way, is taken back."""
        if self.link is None:
            self._cancelled.append(id_)
        else:
            self._tell_cancelled(id_)

    def _tell_cancelled(self, id_: int) -> None:
        self.tell(queue_wire.Cancel(self.next_id(), id_), CANCEL_TIMEOUT)

    def _send(self, request: _Request) -> None:
        """Requests of one turn of the loop are written in one go."""
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(request)

    def flush(self) -> None:
        """Write what is to be written now."""
        out, self._out = self._out, []
        if self.link is None:
            return
        now = self._loop.time()
        frames: list[bytes] = []
        for request in out:
            if not request.abandoned:
                frames.append(request.to_write(now))
                request.written = True
                if not request.until:
                    self._said = request.question.id
        self.link.write(b"".join(frames))

    def placed(self, answer: wire.Placed) -> None:
        """Pass the positions of published events on to whoever published them."""
        id_, epoch, offset = answer.id, answer.epoch, answer.offset
        self._heard = id_ + answer.count - 1
        pending = self._pending
        for step in range(answer.count):
            request = pending.pop(id_ + step, None)
            if request is not None:
                future = request.future
                if future is not None and not future.done():
                    future.set_result(Position(epoch, offset + step))

    def answered(self, answer: wire.Answer) -> None:
        """Pass an answer on to whoever asked, if that one still waits."""
        self._heard = max(self._heard, answer.id)
        request = self._pending.pop(answer.id, None)
        if request is None or request.abandoned:
            return
        if isinstance(answer, wire.Refused):
            if request.future is not None:
                request.future.set_exception(_error(answer, request.question))
            return
        if request.then is not None:
            request.then(answer)
        if request.future is not None:
            request.future.set_result(answer)

    # Loss and time -------------------------------------------------------------------------------

    def lost(self) -> None:
        """The link is gone: what was its own goes with it, the rest waits for another link."""
        self.link = None
        self._apart_since = self._loop.time()
        self._out.clear()
        for id_, request in list(self._pending.items()):
            if request.future is None:
                del self._pending[id_]
                if isinstance(request.question, queue_wire.Cancel):
                    self._cancelled.append(request.question.request)

    def resume(self, link: Link, before: Callable[[], None], *, known: bool) -> None:
        """Use a new link: first for what ``before`` tells, then for everything that waited.

        :param known: whether this broker knows which requests it has done.
        """
        waiting = list(self._pending.values())
        cancelled, self._cancelled = self._cancelled, []
        self.link = link
        self._said = self._heard = 0
        before()
        for id_ in cancelled if known else ():
            self._tell_cancelled(id_)
        for request in waiting:
            if request.written and request.again is Again.SAME_BROKER and not known:
                request.fail("The broker was lost.")
            else:
                self._send(request)

    def time_out(self, reason: str, timeout: float) -> None:
        """Fail what is overdue. A link that does not even take the layer's own is given up."""
        now = self._loop.time()
        apart = self.link is None and now - self._apart_since > timeout
        for id_, request in list(self._pending.items()):
            if request.deadline <= now or (apart and request.until):
                self._pending.pop(id_, None)
                request.fail(reason)
                if request.future is None and self.link is not None:
                    self.link.abort()

    def end(self, reason: str) -> Link | None:
        """Fail everything; returns the link, which is the caller's to close."""
        link, self.link = self.link, None
        for request in self._pending.values():
            request.fail(reason)
        self._pending.clear()
        return link


def _not_known(question: wire.Question) -> str:
    if isinstance(question, wire.Publish):
        return " Whether the event was published is not known."
    if isinstance(question, queue_wire.Send):
        return " Whether the message was sent is not known."
    return " Whether it was done is not known."


def _error(answer: wire.Refused, question: wire.Question) -> LayerError:
    match answer.cause:
        case wire.Cause.FULL:
            return ChannelFull(answer.reason)
        case wire.Cause.CLOSED:
            return ChannelClosed(answer.reason)
        case wire.Cause.FORGOTTEN:
            return LayerUnavailable(answer.reason + _not_known(question))
    return LayerError(answer.reason)
