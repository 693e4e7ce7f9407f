"""One live client, whatever its transport: from messages to requests to answers.

What lives here: the `seaway.server.handoff.Handler` that a transport hands its sink to.
What must not: any transport, any wire format, any layer engine.

Idle, a connection is this object, its visitor and a small object per joined topic: no task, no
queue, no timer. A request under way is one task per topic that has one.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from typing import ClassVar

from seaway.auth import Visitor
from seaway.connections.joined import JoinedTopic
from seaway.connections.registry import ConnectionRegistry
from seaway.dialects.base import Call, Dialect, FramedDialect, Heartbeat, Join, Leave, framed
from seaway.exceptions import BadMessage, Failed, NotJoined, Overloaded, TopicError
from seaway.server.handoff import Sink

logger = logging.getLogger("seaway.connections")


class Connection:
    """A client that speaks ``dialect`` through a sink.

    :ivar id: opaque and unguessable, shown to others as the member id in presence.
    """

    __slots__ = (
        "_paused", "_unanswered", "closed", "dialect", "encoding", "id", "joined", "registry",
        "sink", "visitor",
    )  # fmt: skip

    #: A request is a name, a position or an action's arguments: larger ones are nobody's need.
    max_message_bytes: ClassVar[int] = 1024 * 1024

    sink: Sink
    encoding: FramedDialect

    def __init__(self, registry: ConnectionRegistry, visitor: Visitor, dialect: Dialect) -> None:
        self.id = secrets.token_urlsafe(9)
        self.registry = registry
        self.visitor = visitor
        self.dialect = dialect
        self.joined: dict[str, JoinedTopic] = {}
        self.closed = False
        self._unanswered = 0
        self._paused = False

    def start(self, sink: Sink) -> None:
        """The transport is open: greet. Called once, before any message."""
        self.sink = sink
        self.encoding = framed(self.dialect, sink.framing)
        self.registry.connections.add(self)
        welcome = self.dialect.welcome(self.id, self.registry.limits.ping_seconds)
        if welcome is not None:
            self.send(welcome)

    def send(self, message: bytes) -> None:
        """Write one message of the dialect to this client alone."""
        self.sink.write(self.encoding.frame(message))
        self._consider_reading()

    @property
    def busy(self) -> bool:
        """Whether no more should be read from this client now: for transports that cannot pause."""
        return self._paused

    # Handler -------------------------------------------------------------------------------------

    def on_message(self, data: str | bytes) -> None:
        try:
            request = self.dialect.decode(data)
        except BadMessage as error:
            self.sink.close(error.close_code, error.reason)
            return
        if isinstance(request, Heartbeat):
            self.send(self.dialect.heartbeat())
        else:
            self._take(request)

    def on_writable(self) -> None:
        self._consider_reading()
        for topic in list(self.joined.values()):
            if topic.subscription is not None:
                self.registry.hub.catch_up(topic.subscription)

    def on_close(self, code: int, reason: str) -> None:
        self.closed = True
        self.registry.connections.discard(self)
        for topic in list(self.joined.values()):
            topic.unsubscribe()
            if topic.waiting is None:
                self.registry.spawn(topic.leave())
            else:
                # The request under way is finished, so that its effects are whole; those behind it
                # were never begun.
                while len(topic.waiting) > 1:
                    topic.waiting.pop()
        self.joined.clear()

    # Requests ------------------------------------------------------------------------------------

    def _take(self, request: Join | Leave | Call) -> None:
        topic = self.joined.get(request.topic)
        if topic is None:
            error = self._refusal(request)
            if error is not None:
                self.send(self.dialect.error(request, error))
                return
            topic = self.joined[request.topic] = JoinedTopic(self, request.topic)
        self._unanswered += 1
        self._consider_reading()
        if topic.waiting is None:
            topic.waiting = deque((request,))
            self.registry.spawn(self._work(topic, topic.waiting))
        else:
            topic.waiting.append(request)

    def _refusal(self, request: Join | Leave | Call) -> TopicError | None:
        if not isinstance(request, Join):
            return NotJoined(f"{request.topic} is not joined.")
        if len(self.joined) >= self.registry.limits.joins:
            return Overloaded(f"At most {self.registry.limits.joins} topics on one connection.")
        return None

    async def _work(self, topic: JoinedTopic, waiting: deque[Join | Leave | Call]) -> None:
        """Answer one topic's requests in order, until none is left."""
        while waiting:
            request = waiting[0]
            answer = await self._answer(topic, request)
            waiting.popleft()
            self._unanswered -= 1
            if not self.closed:
                self.send(answer)
                if isinstance(request, Join):
                    topic.activate()
        topic.waiting = None
        if self.closed:
            await topic.leave()
        elif topic.membership is None and self.joined.get(topic.name) is topic:
            del self.joined[topic.name]

    async def _answer(self, topic: JoinedTopic, request: Join | Leave | Call) -> bytes:
        try:
            return await topic.handle(request)
        except Exception:
            logger.exception("request failed topic=%s", topic.name)
            return self.dialect.error(request, Failed("The server failed; its log knows more."))

    def _consider_reading(self) -> None:
        """Read on only while answers are owed and written within limits."""
        if self.closed:
            return
        stop = self._unanswered >= self.registry.limits.requests or not self.sink.writable
        if stop is not self._paused:
            self._paused = stop
            if stop:
                self.sink.pause_reading()
            else:
                self.sink.resume_reading()
