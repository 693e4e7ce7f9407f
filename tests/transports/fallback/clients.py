"""Clients of the fallback transports, in blocking Python: what another language would write.

What lives here: a client over an event stream and one that polls, both speaking the wire protocol;
and a reader of event streams after WHATWG HTML section 9.2.6.
What must not: assertions about the server.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.transports.fallback.site.served import Line, Reply, Site, wait_for


class Event(NamedTuple):
    """What an `EventSource` dispatches."""

    name: str
    data: str
    last_id: str


class EventReader:
    """The interpretation of an event stream, byte by byte, to the letter of section 9.2.6."""

    def __init__(self) -> None:
        self._bytes = b""
        self._started = False
        self._data = ""
        self._name = ""
        self._id_buffer = ""
        self.last_id = ""
        self.retry: int | None = None
        self.comments = 0

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that are complete with these bytes."""
        self._bytes += data
        while (line := self._line()) is not None:
            text = line.decode("utf-8", "replace")
            if not self._started:
                self._started = True
                text = text.removeprefix("\ufeff")
            event = self._process(text)
            if event is not None:
                yield event

    def _line(self) -> bytes | None:
        """Lines end with CRLF, LF, or CR."""
        ends = [at for at in (self._bytes.find(b"\r"), self._bytes.find(b"\n")) if at >= 0]
        if not ends:
            return None
        end = min(ends)
        after = end + 1
        if self._bytes[end : end + 1] == b"\r":
            if after == len(self._bytes):
                return None  # a line feed may follow
            if self._bytes[after : after + 1] == b"\n":
                after += 1
        line, self._bytes = self._bytes[:end], self._bytes[after:]
        return line

    def _process(self, line: str) -> Event | None:
        if line == "":
            return self._dispatch()
        if line.startswith(":"):
            self.comments += 1
            return None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data += value + "\n"
        elif field == "id":
            if "\0" not in value:
                self._id_buffer = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.retry = int(value)
        return None

    def _dispatch(self) -> Event | None:
        self.last_id = self._id_buffer
        data, name = self._data, self._name
        self._data = self._name = ""
        if data == "":
            return None
        return Event(name or "message", data.removesuffix("\n"), self.last_id)


class Stream:
    """An event stream that is being read in a thread."""

    def __init__(
        self, line: Line, path: str, headers: dict[str, str] | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:  # fmt: skip
        self.line = line
        self.response = line.stream(path, headers)
        self.status = self.response.status
        self.reader = EventReader()
        self.events: list[Event] = []
        self.ended = False
        self._on_event = on_event
        if self.status == 200:
            threading.Thread(target=self._read, daemon=True).start()
        else:
            self.error = json.loads(self.response.read())

    def _read(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, AttributeError):
            while data := self.response.read1(65536):
                for event in self.reader.feed(data):
                    self.events.append(event)
                    if self._on_event is not None:
                        self._on_event(event)
        self.ended = True

    def wait(self, count: int) -> list[Event]:
        """The events, once there are so many."""
        wait_for(lambda: len(self.events) >= count, f"Event {count} of {self.events}")
        return self.events

    def close(self) -> None:
        self.line.close()


class TopicClient:
    """What both clients share: requests, answers, events."""

    path = ""

    def __init__(self, site: Site, pid: int | None = None, cookie: str = "") -> None:
        self.site = site
        self.headers = {"Cookie": cookie} if cookie else {}
        self.messages: list[dict[str, Any]] = []
        self.closed_with: dict[str, Any] | None = None
        self.ticket = ""
        self.number = 0
        self._requests = 0
        self.line = site.line(pid)
        #: Which worker has the connection.
        self.pid = self.line.pid
        #: What is sent goes through another worker than the connection's, if there is one.
        self.up = site.line(other_than=self.pid if site.workers > 1 else None)

    @property
    def lost(self) -> bool:
        """Whether the connection is known to have ended."""
        raise NotImplementedError

    def send(self, *messages: dict[str, Any], **changes: Any) -> Reply:
        """One POST with messages; ``changes`` are to its body."""
        self.number += 1
        body = {"ticket": self.ticket, "number": self.number, "messages": messages, **changes}
        return self.up.request("POST", "/seaway/send", body, self.headers)

    def ask(self, kind: str, topic: str, **members: Any) -> dict[str, Any]:
        """A request and its answer, an error included."""
        number = self.begin(kind, topic, **members)
        return self.answer(number)

    def begin(self, kind: str, topic: str, **members: Any) -> int:
        self._requests += 1
        message = {"type": kind, "id": self._requests, "topic": topic, **members}
        reply = self.send(message)
        until = time.monotonic() + 60
        while reply.status == 429 and time.monotonic() < until:
            # What the protocol asks for: the server has not done with an answer before this one.
            time.sleep(0.05)
            reply = self.send(message, number=self.number)
            self.number -= 1
        assert reply.status == 204, (reply.status, reply.body)
        return self._requests

    def answer(self, number: int) -> dict[str, Any]:
        return self.first(lambda message: message.get("id") == number, f"Answer {number}")

    def join(self, topic: str, **members: Any) -> dict[str, Any]:
        return self.ask("join", topic, **members)

    def call(self, topic: str, action: str, **args: Any) -> Any:
        answer = self.ask("call", topic, action=action, args=args)
        return answer["data"]

    def first(
        self, condition: Callable[[dict[str, Any]], bool], what: str = "The message"
    ) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            return next(filter(condition, list(self.messages)), None)

        message: dict[str, Any] = wait_for(found, f"{what}, among {len(self.messages)},")
        return message

    def events(self, count: int, name: str = "said") -> list[Any]:
        """The data of the first events of a name, once there are so many."""

        def found() -> list[Any] | None:
            data = [m["data"] for m in list(self.messages) if m.get("event") == name]
            return data if len(data) >= count else None

        events: list[Any] = wait_for(found, f"{count} events {name!r}")
        return events

    def close(self) -> None:
        """As a network does it: without a word."""
        self.line.close()
        self.up.close()


class StreamClient(TopicClient):
    """Messages down an event stream."""

    def __init__(self, site: Site, pid: int | None = None, cookie: str = "") -> None:
        super().__init__(site, pid, cookie)
        self.stream = Stream(self.line, "/seaway/sse", self.headers, self._hear)
        assert self.stream.status == 200, self.stream.error
        self.first(lambda message: message["type"] == "welcome", "The welcome")

    def _hear(self, event: Event) -> None:
        if event.name == "ticket":
            self.ticket = event.data
        elif event.name == "close":
            self.closed_with = json.loads(event.data)
        else:
            self.messages.append(json.loads(event.data))

    @property
    def lost(self) -> bool:
        return self.stream.ended


class PollClient(TopicClient):
    """Messages by polls, each of which goes to the worker that has the connection, or to another
    one, by turns."""

    def __init__(self, site: Site, pid: int | None = None, cookie: str = "") -> None:
        super().__init__(site, pid, cookie)
        self.ack = 0
        self._over = False
        self.polls = 0
        self._lines = [self.line, site.line(self.up.pid)]
        self._hear(self.poll(self.line, ticket=""))
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def lost(self) -> bool:
        return self._over

    def poll(self, line: Line, **changes: Any) -> Reply:
        self.polls += 1
        body = {"ticket": self.ticket, "ack": self.ack, **changes}
        return line.request("POST", "/seaway/poll", body, self.headers)

    def _run(self) -> None:
        with contextlib.suppress(OSError, http.client.HTTPException, AttributeError):
            while self.closed_with is None and not self._over:
                self._hear(self.poll(self._lines[self.polls % 2]))
        self._over = True

    def _hear(self, reply: Reply) -> None:
        if reply.status != 200:
            self._over = True
            return
        answer = reply.json
        self.ticket = answer["ticket"]
        if answer["batch"] > self.ack:
            self.ack = answer["batch"]
            self.messages += answer["messages"]
        self.closed_with = answer.get("close")

    def close(self) -> None:
        self._over = True
        super().close()
        self._lines[1].close()
