"""A client of HTTP/2 for the server's tests: raw frames over a socket.

What lives here: connecting, WebSocket frames inside DATA frames.
What must not: assertions about the server; frames themselves (`compliance.http2_frames`).
"""

from types import TracebackType

from compliance.http2_frames import (
    ACK,
    DATA,
    GET,
    HEADERS,
    PING,
    Frame,
    Peer,
    data,
    frame,
    headers,
    on_socket,
    window_update,
)

from tests.server.harness import Client, RunningServer, masked

WEBSOCKET = (
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/ws?a=b"),
    (":authority", "localhost"),
    ("sec-websocket-version", "13"),
)


class Http2Client:
    """A connection whose preface and SETTINGS have been exchanged."""

    def __init__(
        self, server: RunningServer, *pairs: tuple[int, int], client: Client | None = None
    ):
        self._client = client or server.connect()
        self.peer: Peer = on_socket(self._client.socket)
        self.settings = self.peer.greet(*pairs)
        self._messages: dict[int, bytes] = {}

    def __enter__(self) -> "Http2Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.socket.close()

    def send(self, *frames: bytes) -> None:
        self.peer.send(*frames)

    def get(self, path: str = "/", stream: int = 1) -> tuple[str, bytes]:
        """Ask, and wait for status and body."""
        fields = tuple((name, path if name == ":path" else value) for name, value in GET)
        self.send(headers(stream, fields))
        return self.peer.response(stream)

    def head(self, stream: int = 1) -> dict[str, str]:
        """The fields of the next HEADERS of a stream."""
        return dict(self.frame(HEADERS, stream).fields)

    def frame(self, kind: int, stream: int | None = None) -> Frame:
        """The next frame of a kind."""
        return self.peer.until(lambda each: each.kind == kind and stream in (None, each.stream))[-1]

    def settle(self, mark: bytes = b"settled!") -> list[Frame]:
        """All frames that come before the answer to a ping: the server has seen what was sent."""
        self.send(frame(PING, 0, 0, mark))
        return self.peer.until(
            lambda each: each.kind == PING and each.payload == mark and bool(each.flags & ACK)
        )

    def open_window(self, size: int, *streams: int) -> None:
        self.send(*(window_update(stream, size) for stream in streams))

    # WebSocket -----------------------------------------------------------------------------------

    def websocket(self, stream: int = 1, *fields: tuple[str, str]) -> dict[str, str]:
        """Ask for a WebSocket; the head of the answer."""
        self.send(headers(stream, (*WEBSOCKET, *fields), end=False))
        return self.head(stream)

    def say(self, opcode: int, payload: bytes = b"", stream: int = 1) -> None:
        self.send(data(stream, masked(opcode, payload)))

    def hear(self, stream: int = 1) -> tuple[int, bytes]:
        """The next WebSocket frame: (opcode, payload)."""
        first, size = self._exactly(stream, 2)
        if size == 126:
            size = int.from_bytes(self._exactly(stream, 2), "big")
        elif size == 127:
            size = int.from_bytes(self._exactly(stream, 8), "big")
        return first & 0x0F, self._exactly(stream, size)

    def _exactly(self, stream: int, size: int) -> bytes:
        held = self._messages.get(stream, b"")
        while len(held) < size:
            part = self.frame(DATA, stream).payload
            held += part
            if part:
                self.open_window(len(part), 0, stream)
        self._messages[stream] = held[size:]
        return held[:size]
