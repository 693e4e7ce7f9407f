"""An HTTP/2 server without sockets: the connection under test, and what answers its requests.

What lives here: `MemoryServer`, the peer of one, and what a test asks it first.
What must not: assertions.
"""

from collections.abc import Callable
from typing import TypeVar

from compliance.http2_frames import GET, Peer, headers

from seaway.protocol.events import (
    DataReceived,
    Event,
    Headers,
    RequestReceived,
    ResponseStarted,
)
from seaway.protocol.http2 import Http2Connection, Http2Limits

E = TypeVar("E", bound=Event)


class Clock:
    """Seconds, moved on by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class MemoryServer:
    """Feeds a connection, keeps its events, and lets ``answer`` react to each of them."""

    def __init__(
        self,
        answer: Callable[["MemoryServer", Event], None] | None = None,
        limits: Http2Limits | None = None,
    ) -> None:
        self.clock = Clock()
        self.connection = Http2Connection(limits, self.clock)
        self.events: list[Event] = []
        self._answer = answer
        self.peer = Peer(self.receive, self.read)
        self._output = b""

    def receive(self, data: bytes) -> None:
        for event in self.connection.receive(data):
            self._take(event)
        self.flush()

    def flush(self) -> None:
        while data := self.connection.data_to_send():
            self._output += data
            for event in self.connection.settle():
                self._take(event)

    def _take(self, event: Event) -> None:
        self.events.append(event)
        if self._answer is not None:
            self._answer(self, event)

    def read(self) -> bytes | None:
        output, self._output = self._output, b""
        return output or (b"" if self.connection.closed else None)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def respond(
        self, stream: int, body: bytes = b"hello", status: int = 200, headers: Headers | None = None
    ) -> None:
        self.connection.answer(stream, status, headers or [], body, True)

    def start(self, stream: int, status: int = 200, headers: Headers | None = None) -> None:
        self.connection.send(ResponseStarted(stream, status, headers or []))


def ask(server: MemoryServer, *fields: tuple[str, str], end: bool = True) -> RequestReceived:
    """A request on stream 1, as it came out."""
    server.peer.send(headers(1, (*GET, *fields), end=end))
    (event,) = server.of(RequestReceived)
    return event


def hello(server: MemoryServer, event: Event) -> None:
    """Answer each request at once, and take its body as it comes."""
    if isinstance(event, RequestReceived):
        server.respond(event.stream)
    elif isinstance(event, DataReceived):
        server.connection.acknowledge(event.stream, len(event.data))
