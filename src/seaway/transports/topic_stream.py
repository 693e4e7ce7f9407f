"""One topic by its URL, for readers without a client: a browser's EventSource, curl.

What lives here: joining, what HTTP says of a join that fails, and mending a gap.
What must not: how events are written (`dialects.event_stream`).
"""

from __future__ import annotations

import functools
import logging
import secrets
from urllib.parse import parse_qs

from seaway.auth import Visitor
from seaway.connections.connection import Connection
from seaway.connections.joined import JoinedTopic
from seaway.dialects.base import Join
from seaway.dialects.event_stream import EVENT_STREAM, position_of
from seaway.exceptions import CloseCode, Failed, TopicError
from seaway.layers.stream import State
from seaway.protocol import sse
from seaway.server.handoff import Framing, Sink
from seaway.transports.http import (
    Refusal,
    Scope,
    check_method,
    check_origin,
    cross_origin,
    header,
)
from seaway.transports.relay import Receive, Send
from seaway.transports.sessions import Session, Sessions
from seaway.transports.sse import check_open
from seaway.transports.stream import open_stream

logger = logging.getLogger("seaway.transports")

#: The status for each of our own error codes; an application's own are refusals.
_STATUS = {
    "unknown_topic": 404,
    "not_found": 404,
    "invalid_arguments": 400,
    "overloaded": 503,
    "unavailable": 503,
    "failed": 500,
}
_REFUSED = 403
#: Milliseconds after which an EventSource comes back, and over which a restart spreads them.
_RETRY = 1000
_SPREAD = 4500
#: Seconds between two looks at whether a gap is to be mended.
_LOOK_SECONDS = 1.0


class _Held:
    """The sink before the response has begun: nothing is written before the join is known."""

    writable = False

    def __init__(self) -> None:
        self.framing: Framing = as_it_is

    def write(self, frame: bytes) -> None:
        """A subscription that is held is not written to."""

    def close(self, code: int, reason: str = "") -> None:
        """Nothing is open yet."""

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""


def as_it_is(message: bytes) -> bytes:
    """The framing of messages that the dialect has framed; nothing becomes a comment, because an
    empty chunk would end the response."""
    return message or sse.COMMENT


def farewell(code: int, reason: str) -> bytes:
    """The end of a stream. An EventSource knows no close codes: it comes back, and is refused then
    if it must be; after a restart not in the same instant as all others."""
    if code == CloseCode.SERVICE_RESTART:
        return sse.retry(secrets.randbelow(_SPREAD) + _RETRY // 2)
    return sse.COMMENT


class TopicSession(Session):
    """A reader's connection, with its one topic."""

    __slots__ = ("_beat", "_mending", "topic")

    def __init__(self, sessions: Sessions, connection: Connection, name: str) -> None:
        super().__init__(sessions, connection)
        self.topic = JoinedTopic(connection, name)
        self._beat = 0.0
        self._mending = False
        connection.joined[name] = self.topic

    async def join(self, request: Join) -> bytes:
        """Join; the first bytes for the reader. Raises `TopicError`."""
        found = await self.topic.join(request)
        return EVENT_STREAM.joined(
            request, found.position, found.recovered, found.data, found.present
        )

    def begin(self, sink: Sink, first: bytes) -> None:
        """The response has begun."""
        self.sink = sink
        self.connection.start(sink)
        sink.write(sink.framing(sse.retry(_RETRY) + first))
        self.topic.redirect()
        self.topic.activate()
        self._rest()
        self.sessions.add(self)

    def tick(self, now: float) -> None:
        subscription = self.topic.subscription
        if subscription is not None and subscription.state is State.ENDED and not self._mending:
            self._mending = True
            self.sessions.registry.spawn(self._mend())
        elif now >= self._beat:
            self._rest()
            self.sink.write(self.sink.framing(b""))
        self.due = now + _LOOK_SECONDS

    def _rest(self) -> None:
        now = self.sessions.now()
        self._beat = now + self.sessions.quiet_seconds
        self.due = now + _LOOK_SECONDS

    async def _mend(self) -> None:
        """After a gap: join again, and begin again with a new snapshot."""
        try:
            first = await self.join(Join(0, self.topic.name))
        except TopicError:
            self.sink.close(CloseCode.GOING_AWAY)
            return
        finally:
            self._mending = False
        if self.connection.closed:
            await self.topic.leave()
        else:
            self.sink.write(self.sink.framing(first))
            self.topic.activate()


async def serve_topic(
    sessions: Sessions, scope: Scope, receive: Receive, send: Send, name: str
) -> None:
    """``GET topics/NAME``: the topic's snapshot, then its events, for as long as it is read."""
    check_method(scope, "GET")
    check_origin(scope)
    check_open(sessions)
    last = header(scope, b"last-event-id")
    if last is None:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        last = query.get("last-event-id", [""])[-1]
    connection = Connection(sessions.registry, Visitor.from_scope(scope), EVENT_STREAM)
    session = TopicSession(sessions, connection, name)
    connection.start(_Held())
    first = await _join(session, Join(0, name, position_of(name, last)))
    await open_stream(
        scope,
        receive,
        send,
        session,
        as_it_is,
        farewell,
        functools.partial(session.begin, first=first),
        cross_origin(scope),
    )


async def _join(session: TopicSession, request: Join) -> bytes:
    """The first bytes for the reader. Raises `Refusal`."""
    try:
        return await session.join(request)
    except TopicError as error:
        refused = error
    except Exception:
        logger.exception("join failed topic=%s", request.topic)
        refused = Failed("The server failed; its log knows more.")
    session.on_close(int(CloseCode.NORMAL), "")
    status = _STATUS.get(refused.code, _REFUSED)
    data = {} if refused.data is None else {"data": refused.data}
    raise Refusal(status, refused.code, refused.message, **data)
