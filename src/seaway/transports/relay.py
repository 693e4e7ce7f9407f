"""A sink for WebSockets under ASGI servers without ``seaway.handoff``: slower, but whole.

What lives here: the same contract as the server's own sink, kept with ASGI's send and receive.
What must not: anything that the server's own sink does differently for its callers.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from seaway.server.handoff import Framing, Handler

logger = logging.getLogger("seaway.connections")

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

#: As in the server's own sink: bytes that may wait before the hub stops writing.
HIGH_WATER = 64 * 1024


def line_frame(message: bytes) -> bytes:
    """Frame a message by a line feed, which JSON text in one line never holds: joined frames come
    apart again, as ASGI wants one ``websocket.send`` per message."""
    return message + b"\n"


class RelaySink:
    """Queues what is written and sends it in order. One task per connection: ASGI's price."""

    __slots__ = (
        "_close", "_deaf", "_handler", "_listening", "_reading", "_size", "_waiting", "_wake",
        "framing", "writable",
    )  # fmt: skip

    def __init__(self, handler: Handler) -> None:
        self.framing: Framing = line_frame
        self._handler = handler
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()
        self._close: tuple[int, str] | None = None
        self._listening = asyncio.timeout(None)
        self._deaf = asyncio.Event()
        self.writable = True

    def write(self, frame: bytes) -> None:
        if self._close is None:
            self._waiting.append(frame)
            self._size += len(frame)
            self.writable = self._size <= HIGH_WATER
            self._wake.set()

    def close(self, code: int, reason: str = "") -> None:
        if self._close is None:
            self._close = (code, reason)
            self.writable = False
            self._wake.set()
            self._reading.set()

    def pause_reading(self) -> None:
        self._reading.clear()

    def resume_reading(self) -> None:
        self._reading.set()

    async def run(self, receive: Receive, send: Send) -> None:
        """Relay until the connection is gone, whoever ends it."""
        writer = asyncio.get_running_loop().create_task(self._write(send))
        code, reason = 1006, ""
        try:
            async with self._listening:
                code, reason = await self._read(receive)
        except TimeoutError:
            # We close: what the peer answers is not awaited.
            code, reason = self._close or (code, reason)
        finally:
            self.writable = False
            self._deaf.set()
            if self._close is None:
                writer.cancel()
            await asyncio.wait([writer])
            if not writer.cancelled() and (error := writer.exception()) is not None:
                logger.debug("a client has gone before it had everything: %r", error)
            self._handler.on_close(code, reason)

    async def _read(self, receive: Receive) -> tuple[int, str]:
        while True:
            await self._reading.wait()
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return message.get("code") or 1005, message.get("reason") or ""
            text = message.get("text")
            self._handler.on_message(message["bytes"] if text is None else text)

    async def _write(self, send: Send) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                frames = self._waiting.popleft()
                for message in frames[:-1].split(b"\n"):
                    await send({"type": "websocket.send", "text": message.decode()})
                self._size -= len(frames)
                if not self._waiting and not self.writable and self._close is None:
                    self.writable = True
                    self._handler.on_writable()
            if self._close is not None:
                code, reason = self._close
                await self._stop_listening()
                await send({"type": "websocket.close", "code": code, "reason": reason})
                return

    async def _stop_listening(self) -> None:
        """granian 2.8 sends no close frame while the application waits in ``receive``."""
        if not self._deaf.is_set():
            self._listening.reschedule(asyncio.get_running_loop().time())
            await self._deaf.wait()
