"""Requests on their way to the broker, over the loss of a connection too.

What lives here: `Requests`: what was asked, what was written, what is still to be answered.
What must not: what the requests mean, or how a connection is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from seaway.exceptions import LayerError, LayerUnavailable
from seaway.layers.local import wire
from seaway.layers.local.link import Link

#: Called at the moment that an answer is read, before what follows it.
Then = Callable[[wire.Answer], None]

#: What may be asked once the greeting is over.
Question = (
    wire.Publish | wire.Watch | wire.Unwatch | wire.Where | wire.Read | wire.Enter | wire.Leave
    | wire.Members | wire.Renew
)  # fmt: skip


class _Request:
    """One request. Without ``future`` it is the layer's own and dies with its link."""

    __slots__ = ("again", "deadline", "frame", "future", "sent", "then")

    def __init__(
        self,
        frame: bytes,
        deadline: float,
        future: asyncio.Future[wire.Answer] | None,
        then: Then | None,
        again: bool,
    ) -> None:
        self.frame = frame
        self.deadline = deadline
        self.future = future
        self.then = then
        self.again = again
        self.sent = False

    @property
    def abandoned(self) -> bool:
        return self.future is not None and self.future.done()

    def fail(self, reason: str) -> None:
        if self.future is not None and not self.future.done():
            if self.sent and not self.again:
                reason += " Whether the event was published is not known."
            self.future.set_exception(LayerUnavailable(reason))


class Requests:
    """All requests of one layer, on its loop. No task and no timer per request.

    :ivar link: where they are written; None while there is no broker, and then they wait.
    """

    def __init__(self) -> None:
        self.link: Link | None = None
        self._loop = asyncio.get_running_loop()
        self._last_id = 0
        self._pending: dict[int, _Request] = {}
        self._out: list[_Request] = []

    def next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    async def ask(
        self, question: Question, timeout: float, *, then: Then | None = None, again: bool = True
    ) -> wire.Answer:
        """Send a request and wait for its answer.

        :param then: called with the answer before anything that follows it is looked at.
        :param again: whether it may be sent again when its connection is lost. If not, and it had
            been written, it fails, since it may have taken effect.
        """
        future: asyncio.Future[wire.Answer] = self._loop.create_future()
        deadline = self._loop.time() + timeout
        request = _Request(wire.frame(question), deadline, future, then, again)
        self._pending[question.id] = request
        if self.link is not None:
            self._send(request)
        try:
            return await future
        finally:
            self._pending.pop(question.id, None)

    def tell(self, question: Question, timeout: float, then: Then | None = None) -> None:
        """Send a request of the layer's own. Without a link there is nobody who has to know."""
        if self.link is not None:
            deadline = self._loop.time() + timeout
            request = _Request(wire.frame(question), deadline, None, then, again=False)
            self._pending[question.id] = request
            self._send(request)

    def _send(self, request: _Request) -> None:
        """Requests of one turn of the loop are written at once."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(request)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self.link is None:
            return
        frames: list[bytes] = []
        for request in out:
            if not request.abandoned:
                frames.append(request.frame)
                request.sent = True
        self.link.write(b"".join(frames))

    def answered(self, answer: wire.Answer) -> None:
        """Pass an answer on to whoever asked, if that one still waits."""
        request = self._pending.pop(answer.id, None)
        if request is None or request.abandoned:
            return
        if isinstance(answer, wire.Refused):
            if request.future is not None:
                request.future.set_exception(LayerError(answer.reason))
            return
        if request.then is not None:
            request.then(answer)
        if request.future is not None:
            request.future.set_result(answer)

    # Loss and time -------------------------------------------------------------------------------

    def lost(self) -> None:
        """The link is gone: what was its own goes with it, what can be asked again waits."""
        self.link = None
        self._out.clear()
        for id_, request in list(self._pending.items()):
            if request.future is None:
                del self._pending[id_]
            elif request.sent and not request.again:
                request.fail("The connection to the broker was lost.")
            else:
                request.sent = False

    def resume(self, link: Link, before: Callable[[], None]) -> None:
        """Use a new link: first for what ``before`` tells, then for everything that waited."""
        waiting = list(self._pending.values())
        self.link = link
        before()
        for request in waiting:
            self._send(request)

    def time_out(self, reason: str) -> None:
        """Fail what is overdue. A link that does not even take the layer's own is given up."""
        now = self._loop.time()
        for id_, request in list(self._pending.items()):
            if request.deadline > now:
                break  # the oldest first, and all have about the same time-out
            del self._pending[id_]
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
