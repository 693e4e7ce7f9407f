"""A lean WebSocket client: thousands of messages a second for little CPU.

What lives here: the handshake and the frames of a client that trusts its server, as an asyncio
protocol. What must not: what the messages mean.

Frames from a server are unmasked (RFC 6455 section 5.1), and ours are not fragmented.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA


class LeanClient(asyncio.Protocol):
    """One connection. ``on_text`` gets each message; ``ended`` resolves to (code, reason)."""

    def __init__(self, host: str, path: str, on_text: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[tuple[int, str]] = loop.create_future()
        self._host = host
        self._path = path
        self._on_text = on_text
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            (
                f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: seaway.v1\r\n\r\n"
            ).encode()
        )

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        if not self.opened.done():
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._end(1006, head.split(b"\r\n", 1)[0].decode("latin-1"))
                return
            self.opened.set_result(None)
        self._rest = self._frames(data)

    def _frames(self, data: bytes) -> bytes:
        at, end = 0, len(data)
        while end - at >= 2:
            size, body = data[at + 1], at + 2
            if size == 126:
                size, body = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, body = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
            if body + size > end:
                break
            self._frame(data[at] & 0x0F, data[body : body + size])
            at = body + size
        return data[at:]

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == _TEXT:
            self._on_text(payload)
        elif opcode == _PING:
            self._send(_PONG, payload)
        elif opcode == _CLOSE:
            code = int.from_bytes(payload[:2], "big") if payload else 1005
            self._send(_CLOSE, payload[:2])
            self._end(code, payload[2:].decode(errors="replace"))

    def send(self, text: bytes) -> None:
        """Send one message."""
        self._send(_TEXT, text)

    def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes((0x80 | opcode,))
        head += bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        # A mask of zeros is a mask (RFC 6455 section 5.3); nobody between here and there guesses.
        self._transport.write(head + bytes(4) + payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(1006, str(exc or "the connection was lost"))

    def close(self) -> None:
        """End it without a word."""
        self._transport.abort()

    def _end(self, code: int, reason: str) -> None:
        if not self.opened.done():
            self.opened.cancel()
        if not self.ended.done():
            self.ended.set_result((code, reason))
        self._transport.close()
