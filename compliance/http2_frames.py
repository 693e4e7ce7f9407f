"""A client of HTTP/2 that speaks raw frames, and may say what no library would.

What lives here: frames as bytes, header blocks of literals, and `Peer`, which reads answers.
What must not: expectations (`http2_cases`), the code under test.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hpack import Decoder

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION = 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT = range(5)
STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = range(5, 10)
CONNECT_ERROR, ENHANCE_YOUR_CALM = 10, 11

Fields = Iterable[tuple[str, str]]
GET = ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "localhost"))
POST = ((":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "localhost"))


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def integer(value: int, bits: int, first: int = 0) -> bytes:
    """RFC 7541 section 5.1."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((first | value,))
    out = bytearray((first | limit,))
    value -= limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def block(fields: Fields) -> bytes:
    """Literals without indexing, plain (RFC 7541 section 6.2.2)."""
    out = b""
    for name, value in fields:
        out += b"\0" + integer(len(name), 7) + name.encode("latin-1")
        out += integer(len(value), 7) + value.encode("latin-1")
    return out


def headers(
    stream: int, fields: Fields = GET, *, end: bool = True, flags: int = END_HEADERS
) -> bytes:
    return frame(HEADERS, flags | (END_STREAM if end else 0), stream, block(fields))


def data(stream: int, payload: bytes = b"", *, end: bool = False) -> bytes:
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def rst_stream(stream: int, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def priority(stream: int, depends_on: int, weight: int = 15) -> bytes:
    return frame(PRIORITY, 0, stream, struct.pack(">IB", depends_on, weight))


@dataclass(frozen=True)
class Frame:
    """A frame that was received; ``fields`` for HEADERS and PUSH_PROMISE."""

    kind: int
    flags: int
    stream: int
    payload: bytes
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def code(self) -> int:
        """The error code of RST_STREAM and GOAWAY."""
        start = 4 if self.kind == GOAWAY else 0
        return int.from_bytes(self.payload[start : start + 4], "big")

    @property
    def ended(self) -> bool:
        return self.kind in {DATA, HEADERS} and bool(self.flags & END_STREAM)

    @property
    def status(self) -> str:
        return dict(self.fields).get(":status", "")


class Peer:
    """The client's end of a connection.

    :param write: takes bytes for the server.
    :param read: returns bytes from the server, ``b""`` once it has closed, and None if it has
        nothing to say.
    :param hang_up: closes the connection.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        read: Callable[[], bytes | None],
        hang_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._write, self._read, self.hang_up = write, read, hang_up
        self._buffer = b""
        self._decoder = Decoder()
        self.closed = False
        #: Seconds between two frames; 0: frames that belong together are sent together.
        self.pace = 0.0

    def send(self, *frames: bytes) -> None:
        if not self.pace:
            self._write(b"".join(frames))
            return
        for each in frames:
            self._write(each)
            time.sleep(self.pace)

    def greet(self, *pairs: tuple[int, int]) -> dict[int, int]:
        """The preface and both sides' SETTINGS; what the server's say."""
        self.send(PREFACE, settings(*pairs))
        found = self.until(lambda each: each.kind == SETTINGS and not each.flags & ACK)
        self.send(frame(SETTINGS, ACK))
        self.until(lambda each: each.kind == SETTINGS and bool(each.flags & ACK))
        return dict(struct.iter_unpack(">HI", found[-1].payload))

    def next(self) -> Frame | None:
        """The next frame; None if there is none, or no more (`closed`)."""
        while True:
            if len(self._buffer) >= 9:
                size = int.from_bytes(self._buffer[:3], "big")
                if len(self._buffer) >= 9 + size:
                    return self._take(size)
            more = None if self.closed else self._read()
            if not more:
                self.closed = self.closed or more == b""
                return None
            self._buffer += more

    def _take(self, size: int) -> Frame:
        kind, flags, stream = struct.unpack(">BBI", self._buffer[3:9])
        payload, self._buffer = self._buffer[9 : 9 + size], self._buffer[9 + size :]
        fields: tuple[tuple[str, str], ...] = ()
        if kind in {HEADERS, PUSH_PROMISE}:
            # Our servers send header blocks in one frame and without padding.
            block = payload[4:] if kind == PUSH_PROMISE else payload
            fields = tuple((str(name), str(value)) for name, value in self._decoder.decode(block))
        return Frame(kind, flags, stream, payload, fields)

    def until(self, wanted: Callable[[Frame], bool]) -> list[Frame]:
        """All frames up to the first that is ``wanted``. Raises AssertionError without one."""
        seen: list[Frame] = []
        while (found := self.next()) is not None:
            seen.append(found)
            if wanted(found):
                return seen
        end = "the server closed" if self.closed else "the server says no more"
        raise AssertionError(f"{end}; received {seen}")

    def response(self, stream: int) -> tuple[str, bytes]:
        """Status and body of a stream's response, once it is complete."""
        frames = self.until(lambda each: each.stream == stream and each.ended)
        mine = [each for each in frames if each.stream == stream]
        status = next(each.status for each in mine if each.status and each.status[0] != "1")
        return status, b"".join(each.payload for each in mine if each.kind == DATA)


def connect(host: str, port: int, timeout: float, *, tls: bool = False) -> Peer:
    """A peer on a TCP connection; a silence of ``timeout`` seconds is an answer.

    :param tls: HTTP/2 by ALPN, of a server whose certificate is not looked at.
    """
    sock = socket.create_connection((host, port), timeout)
    return on_socket(_client_context().wrap_socket(sock) if tls else sock)


def _client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def on_socket(sock: socket.socket) -> Peer:
    if sock.family != getattr(socket, "AF_UNIX", None):
        # Otherwise a frame may wait 40 ms for the acknowledgement of the one before it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(data: bytes) -> None:
        # The server may have closed already, which is what some cases wait for.
        try:
            sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            return

    def read() -> bytes | None:
        try:
            return sock.recv(65536)
        except TimeoutError:
            return None
        except ConnectionResetError:
            return b""

    return Peer(write, read, sock.close)
