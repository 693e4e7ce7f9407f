"""What was asked of a server and is not answered yet.

What lives here: `Requests`, each with its time-out; what a message is, and what it means that none
comes. What must not: asking again (`api`), or connections (`engine`).
"""

from __future__ import annotations

import asyncio
import secrets
from typing import NamedTuple

from seaway.layers.nats import headers
from seaway.layers.nats.link import Link

#: Seconds after which a request is taken for lost though the connection stands.
ATTEMPT_SECONDS = 1.5


class Message(NamedTuple):
    """What came on a subscription. ``sid`` is not in it: who subscribed knows."""

    subject: bytes
    reply: bytes
    header: bytes
    data: bytes


class NoAnswer(Exception):
    """A request was not answered: whether it was heard is not known."""


class NobodyThere(Exception):
    """Nobody serves the subject of a request at present; it was not heard."""


class _Request(NamedTuple):
    future: asyncio.Future[Message]
    deadline: float


class Requests:
    """All that one process waits for. :ivar subject: on which the answers come, to `answered`."""

    __slots__ = ("_inbox", "_last", "_waiting", "subject")

    def __init__(self) -> None:
        self._inbox = f"_INBOX.{secrets.token_hex(8)}"
        self.subject = f"{self._inbox}.*"
        self._waiting: dict[bytes, _Request] = {}
        self._last = 0

    def send(
        self, link: Link, subject: str, data: bytes, header: bytes, deadline: float
    ) -> asyncio.Future[Message]:
        """Publish, before this returns, and wait for the one answer.

        :param deadline: of the loop's clock.
        :raises NoAnswer, NobodyThere: from the future.
        """
        self._last += 1
        key = b"%d" % self._last
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Message] = loop.create_future()
        self._waiting[key] = _Request(future, min(deadline, loop.time() + ATTEMPT_SECONDS))
        link.publish(subject, data, header, f"{self._inbox}.{self._last}")
        return future

    def answered(self, message: Message) -> None:
        """Something came on `subject`."""
        request = self._waiting.pop(message.subject.rpartition(b".")[2], None)
        if request is None or request.future.done():
            return
        if message.header and headers.status(message.header)[0] == 503:
            request.future.set_exception(NobodyThere("nobody serves it"))
        else:
            request.future.set_result(message)

    def tick(self, now: float) -> None:
        """Tell those whose time is over."""
        late = [key for key, request in self._waiting.items() if request.deadline <= now]
        for key in late:
            future = self._waiting.pop(key).future
            if not future.done():
                future.set_exception(NoAnswer("no answer in time"))

    def lose(self) -> None:
        """The connection is gone: tell all who wait."""
        requests, self._waiting = self._waiting, {}
        for request in requests.values():
            if not request.future.done():
                request.future.set_exception(NoAnswer("the connection was lost"))
