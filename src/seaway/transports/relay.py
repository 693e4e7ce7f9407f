"""A sink for WebSockets under ASGI servers without ``seaway.handoff``: slower, but whole.

What lives here: the same contract as the server's own sink, kept with ASGI's send and receive.
What must not: anything that the server's own sink does differently for its callers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from seaway.server.handoff import Handler
from seaway.transports.backlog import Backlog

logger = logging.getLogger("seaway.connections")

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def line_frame(message: bytes) -> bytes:
    """Frame a message by a line feed, which JSON text in one line never holds: joined frames come
    apart again, as ASGI wants one ``websocket.send`` per message."""
    return message + b"\n"


class RelaySink(Backlog):
    """Queues what is written and sends it in order. One task per connection: ASGI's price."""

    __slots__ = ("_deaf", "_listening", "_reading", "_wake")

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler, line_frame)
        self._wake = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()
        self._listening = asyncio.timeout(None)
        self._deaf = asyncio.Event()

    def _rouse(self) -> None:
        self._wake.set()

    def close(self, code: int, reason: str = "") -> None:
        if self.end is None:
            self._finish(code, reason)
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
            code, reason = self.end or (code, reason)
        finally:
            self.writable = False
            self._deaf.set()
            if self.end is None:
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
                self._taken(len(frames))
            if self.end is not None:
                code, reason = self.end
                await self._stop_listening()
                await send({"type": "websocket.close", "code": code, "reason": reason})
                return

    async def _stop_listening(self) -> None:
        """granian 2.8 sends no close frame while the application waits in ``receive``."""
        if not self._deaf.is_set():
            self._listening.reschedule(asyncio.get_running_loop().time())
            await self._deaf.wait()
