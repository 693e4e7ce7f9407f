"""A client for tests of topics: joins, calls and hears, in this process and without a socket.

What lives here: `TopicClient`, which speaks Seaway's wire protocol to a real connection.
What must not: shortcuts past authentication, routes or the layer; those are what is tested.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import msgspec
from django.test import AsyncClient

from seaway import pool
from seaway.auth import Visitor
from seaway.conf import layer_home, seaway_settings
from seaway.connections.connection import Connection
from seaway.connections.registry import ConnectionRegistry, Limits
from seaway.dialects.seaway import DIALECT
from seaway.exceptions import ActionError, SeawayError
from seaway.server.handoff import Framing
from seaway.transports.relay import line_frame

#: Seconds that a test waits for an answer or an event before it fails.
PATIENCE = 5.0


class Event(msgspec.Struct, frozen=True):
    """An event as a client gets it."""

    name: str
    data: Any
    offset: int


class Nothing(SeawayError, AssertionError):
    """What a test waited for did not come."""


class _TestSink:
    """Takes what the connection writes and hands the messages to the client."""

    def __init__(self, client: TopicClient) -> None:
        self.framing: Framing = line_frame
        self.client = client
        self.writable = True

    def write(self, frame: bytes) -> None:
        for line in frames_of(frame):
            self.client._receive(msgspec.json.decode(line))

    def close(self, code: int, reason: str = "") -> None:
        self.writable = False
        self.client.closed_with = code

    def pause_reading(self) -> None:
        """The test's own coroutine waits for each answer."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""


def frames_of(joined: bytes) -> list[bytes]:
    """The messages of one write."""
    return joined[:-1].split(b"\n")


class TopicClient:
    """One client. Use it as an asynchronous context manager::

        async with TopicClient(user=ann) as client:
            snapshot = await client.join("rooms/lobby")
            await client.call("rooms/lobby", "say", text="hello")
            assert (await client.event("rooms/lobby")).data == {"text": "hello"}

    :param user: log in as this user, as ``Client.force_login`` does; None is anonymous.
    :param session_key: or use this session.

    A request that the server answers with an error raises `ActionError` with its code and message.
    Synchronous methods of topics run in the test's own thread, so that they see the database
    transaction of Django's ``TestCase``.
    """

    def __init__(self, user: Any = None, *, session_key: str | None = None) -> None:
        self._user = user
        self._session_key = session_key
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: dict[str, deque[Event]] = {}
        self._arrived = asyncio.Event()
        self._thread_sensitive = pool.thread_sensitive()
        self.members: dict[str, dict[str, dict[str, Any]]] = {}
        #: Topic → (members, people), where presence is told as numbers.
        self.headcounts: dict[str, tuple[int, int]] = {}
        self.gaps: list[str] = []
        self.closed_with: int | None = None
        self.id = ""

    async def __aenter__(self) -> TopicClient:
        self._thread_sensitive.__enter__()
        if self._user is not None:
            browser = AsyncClient()
            await browser.aforce_login(self._user)
            self._session_key = browser.session.session_key
        home = layer_home()
        await home.adopt()
        options = seaway_settings()
        limits = Limits(options.MAX_JOINS, options.MAX_REQUESTS, options.PING_SECONDS)
        self._registry = ConnectionRegistry(home.hub, limits)
        self._connection = Connection(self._registry, Visitor(self._session_key), DIALECT)
        self._connection.start(_TestSink(self))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._connection.on_close(1000, "")
        await self._registry.drain(PATIENCE)
        self._thread_sensitive.__exit__(None, None, None)

    async def join(self, topic: str, *, since: tuple[str, int] | None = None) -> Any:
        """Join; the snapshot. ``since`` is (epoch, offset), to resume."""
        request: dict[str, Any] = {"type": "join", "topic": topic}
        if since is not None:
            request["since"] = {"epoch": since[0], "offset": since[1]}
        answer = await self._ask(request)
        if "members" in answer:
            self.members[topic] = {member["id"]: member for member in answer["members"]}
        if "headcount" in answer:
            self._note_headcount(topic, answer["headcount"])
        return answer["data"]

    async def leave(self, topic: str) -> None:
        """Leave; events that are still waiting here stay."""
        await self._ask({"type": "leave", "topic": topic})

    async def call(self, topic: str, action: str, /, **args: Any) -> Any:
        """Call an action; what it returned."""
        request = {"type": "call", "topic": topic, "action": action, "args": args}
        return (await self._ask(request))["data"]

    async def event(self, topic: str, name: str | None = None) -> Event:
        """The next event of the topic; with ``name``, the next one of that name.

        :raises Nothing: none came within `PATIENCE` seconds.
        """
        events = self._events.setdefault(topic, deque())
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    while events:
                        event = events.popleft()
                        if name in (None, event.name):
                            return event
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise Nothing(f"No event {name or ''} on {topic} within {PATIENCE} s.") from None

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        number = len(self._answers) + 1
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._connection.on_message(msgspec.json.encode({**request, "id": number}).decode())
        if self.closed_with is not None:
            raise Nothing(f"The server closed the connection with {self.closed_with}.")
        try:
            message: dict[str, Any] = await asyncio.wait_for(answer, PATIENCE)
        except TimeoutError:
            raise Nothing(f"No answer to {request} within {PATIENCE} s.") from None
        if message["type"] == "error":
            raise ActionError(message["message"], code=message["code"], data=message.get("data"))
        return message

    def _receive(self, message: dict[str, Any]) -> None:
        kind, topic = message["type"], message.get("topic", "")
        if "id" in message:
            self._answers[message["id"]].set_result(message)
        elif kind == "welcome":
            self.id = message["connection"]
        elif kind == "event":
            event = Event(message["event"], message["data"], message["offset"])
            self._events.setdefault(topic, deque()).append(event)
        elif kind == "presence":
            self._note_presence(topic, message)
        elif kind == "headcount":
            self._note_headcount(topic, message)
        elif kind == "gap":
            self.gaps.append(topic)
        self._arrived.set()

    def _note_headcount(self, topic: str, count: dict[str, Any]) -> None:
        self.headcounts[topic] = (count["members"], count["people"])

    def _note_presence(self, topic: str, message: dict[str, Any]) -> None:
        present = self.members.setdefault(topic, {})
        if "members" in message:
            present.clear()
        for member in [*message.get("members", ()), *message.get("entered", ())]:
            present[member["id"]] = member
        for gone in message.get("left", ()):
            present.pop(gone, None)
