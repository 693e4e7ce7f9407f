"""A client of WebSockets that speaks raw bytes, and may say what no library would.

What lives here: the opening request, frames as bytes, and `Peer`, which reads answers.
What must not: expectations (`websocket_cases`), the code under test.
"""

from __future__ import annotations

import contextlib
import socket
import zlib
from dataclasses import dataclass
from typing import Any

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x37\xfa\x21\x3d"  # of RFC 6455 section 5.7
KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # of section 1.3
REQUEST = {
    b"Host": b"localhost",
    b"Upgrade": b"websocket",
    b"Connection": b"Upgrade",
    b"Sec-WebSocket-Key": KEY,
    b"Sec-WebSocket-Version": b"13",
}
EXTENSIONS = b"sec-websocket-extensions"
#: What a sender of permessage-deflate leaves out (RFC 7692 section 7.2.1).
TAIL = b"\x00\x00\xff\xff"


def opening(*more: bytes, method: bytes = b"GET", **changed: bytes | None) -> bytes:
    """An opening request; ``changed`` are fields of `REQUEST`, None to leave one out."""
    changes = {name.replace("_", "-").lower(): value for name, value in changed.items()}
    lines = [method + b" / HTTP/1.1"]
    for name, value in REQUEST.items():
        sent = changes.get(name.decode().lower(), value)
        if sent is not None:
            lines.append(name + b": " + sent)
    return b"\r\n".join([*lines, *more, b"", b""])


def masked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return number.to_bytes(size, "big")


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    width: int | None = None,
    size: int | None = None,
    mask: bytes | None = MASK,
) -> bytes:
    """One frame.

    :param rsv: the three reserved bits, RSV1 being 4.
    :param width: bytes of the extended length: 0, 2 or 8; None for the shortest form.
    :param size: the length announced, if it is not the payload's.
    """
    size = len(payload) if size is None else size
    if width is None:
        width = 0 if size < 126 else 2 if size < 65536 else 8
    short = {0: size, 2: 126, 8: 127}[width]
    head = bytes((fin << 7 | rsv << 4 | opcode, (128 if mask is not None else 0) | short))
    head += size.to_bytes(width, "big") if width else b""
    return head + (payload if mask is None else mask + masked(payload, mask))


def fragments(opcode: int, payload: bytes, size: int, rsv: int = 0) -> bytes:
    """A message in frames of ``size`` bytes; ``rsv`` is for the first."""
    parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
    return b"".join(
        frame(CONTINUATION if at else opcode, part, fin=at == len(parts) - 1, rsv=0 if at else rsv)
        for at, part in enumerate(parts)
    )


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


@dataclass(frozen=True)
class Frame:
    """A frame that was received."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0


class Agreement:
    """permessage-deflate as the server's answer has it, both directions' state included.

    :raises AssertionError: the answer is malformed.
    """

    def __init__(self, answer: bytes) -> None:
        name, *parameters = (part.strip() for part in answer.split(b";"))
        assert name == b"permessage-deflate", answer
        self.parameters: dict[bytes, bytes] = {}
        for parameter in parameters:
            key, _, value = parameter.partition(b"=")
            assert key not in self.parameters, f"{key!r} twice"
            self.parameters[key] = value.strip(b'"')
        self._deflater: Any = None
        self._inflater: Any = None

    def _bits(self, side: bytes) -> int:
        return int(self.parameters.get(side + b"_max_window_bits", b"15"))

    def deflate(self, payload: bytes) -> bytes:
        deflater = self._deflater or zlib.compressobj(wbits=-max(9, self._bits(b"client")))
        if b"client_no_context_takeover" not in self.parameters:
            self._deflater = deflater
        compressed: bytes = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
        return compressed.removesuffix(TAIL)

    def inflate(self, payload: bytes) -> bytes:
        """Raises AssertionError for what does not inflate in the window agreed to."""
        inflater = self._inflater or zlib.decompressobj(-self._bits(b"server"))
        if b"server_no_context_takeover" not in self.parameters:
            self._inflater = inflater
        try:
            return bytes(inflater.decompress(payload + TAIL))
        except zlib.error as error:
            raise AssertionError(f"the server's message does not inflate: {error}") from error


class Peer:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        self.agreement: Agreement | None = None
        # Otherwise a frame may wait 40 ms for the acknowledgement of the one before it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, *frames: bytes, pieces: int = 0) -> None:
        """Send, in segments of ``pieces`` bytes if that is not 0."""
        data = b"".join(frames)
        # The server may have closed already, which is what some cases wait for.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for at in range(0, len(data), pieces or len(data) or 1):
                self._sock.sendall(data[at : at + (pieces or len(data))])

    def upgrade(self, offer: bytes = b"") -> dict[bytes, bytes]:
        """The opening handshake; the response's fields. Raises AssertionError if refused."""
        self.send(opening(*((EXTENSIONS + b": " + offer,) if offer else ())))
        status, fields = self.head()
        assert status == 101, f"the handshake is answered with {status}"
        if EXTENSIONS in fields:
            self.agreement = Agreement(fields[EXTENSIONS])
        return fields

    def head(self) -> tuple[int, dict[bytes, bytes]]:
        """A response's status and fields, names in lower case; repeated ones joined by commas."""
        while b"\r\n\r\n" not in self._buffer:
            assert self._more(), f"the server closed after {self._buffer!r}"
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        status, *lines = head.split(b"\r\n")
        fields: dict[bytes, bytes] = {}
        for line in lines:
            name, _, value = line.partition(b":")
            name = name.lower()
            fields[name] = (fields[name] + b", " if name in fields else b"") + value.strip()
        return int(status.split()[1]), fields

    def frame(self) -> Frame | None:
        """The next frame; None at the end of the connection. Raises AssertionError on silence."""
        head = self._exactly(2)
        if head is None:
            return None
        assert not head[1] & 128, "the server masks"
        width = {126: 2, 127: 8}.get(head[1], 0)
        size = int.from_bytes(self._exactly(width) or b"", "big") if width else head[1]
        payload = self._exactly(size)
        assert payload is not None, "the server closed inside a frame"
        return Frame(head[0] & 15, payload, bool(head[0] & 128), head[0] >> 4 & 7)

    def _exactly(self, size: int) -> bytes | None:
        parts, have = [self._buffer], len(self._buffer)
        while have < size:
            self._buffer = b""
            if not self._more():
                return None
            parts.append(self._buffer)
            have += len(self._buffer)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]

    def _more(self) -> bool:
        try:
            data = self._sock.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        except TimeoutError:
            raise AssertionError("the server says nothing") from None
        self._buffer += data
        return bool(data)

    def hang_up(self) -> None:
        self._sock.close()


def connect(host: str, port: int, timeout: float) -> Peer:
    """A peer on a TCP connection in the clear; a silence of ``timeout`` seconds is an answer."""
    return Peer(socket.create_connection((host, port), timeout))
