"""A consumer's messages on a WebSocket that it has taken over from the server.

What lives here: `SinkCarrier`. What must not: mailboxes and handlers (`run`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from seaway.consumers.frames import framed
from seaway.consumers.layer import Message
from seaway.consumers.run import READ_AHEAD, Run
from seaway.exceptions import CloseCode
from seaway.server.flow import Gate

logger = logging.getLogger("seaway.consumers")

#: Bytes that a thread may be ahead of the loop, which alone knows whether the client reads.
_MOST_POSTED = 64 * 1024
#: Frames that are held until the end of a step, and bytes of the longest of them: together what a
#: connection's buffer takes before its client counts as slow.
_MOST_HELD, _LONGEST_HELD = 64, 1024


class SinkCarrier:
    """A WebSocket that the consumer has taken over: `seaway.server.handoff.Handler`, too."""

    __slots__ = ("_closed", "_gate", "_held", "_posted", "_run", "_written", "sink")

    sink: Any

    def __init__(self, run: Run) -> None:
        self._run = run
        self._closed = False
        #: Frames of the consumer's present step, which are written together at its end.
        self._held: list[bytes] | None = None
        #: Bytes that threads have posted, and those that were written since: one side counts each.
        self._posted = self._written = 0
        self._gate: Gate | None = None

    # From the server -----------------------------------------------------------------------------

    def on_message(self, data: str | bytes) -> None:
        key = "text" if isinstance(data, str) else "bytes"
        run = self._run
        run.hear({"type": "websocket.receive", key: data})
        if not run.paused and run.backlog >= READ_AHEAD:
            run.paused = True
            self.sink.pause_reading()

    def on_writable(self) -> None:
        if self._gate is not None:
            self._gate.open()

    def on_close(self, code: int, reason: str) -> None:
        self.on_writable()
        self._run.hear({"type": "websocket.disconnect", "code": code, "reason": reason})

    def on_drain(self, reason: str) -> bool:
        if not self._run.consumer._says_goodbye or self._run.left:
            return False
        self._run.shut_down(reason)
        return True

    # From the consumer ---------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """See `Carrier.send`."""
        kind = message["type"]
        if kind == "websocket.send":
            frame = self._frame(message)
            held = self._held
            if held is not None and len(held) < _MOST_HELD and len(frame) <= _LONGEST_HELD:
                held.append(frame)
            else:
                self._write(frame)
            sink = self.sink
            while not (sink.writable or self._closed or self._run.left):
                if self._gate is None:
                    self._gate = Gate()
                await self._gate.wait(asyncio.get_running_loop())
        elif kind == "websocket.close":
            self.close(message.get("code", CloseCode.NORMAL), message.get("reason") or "")
        else:
            raise RuntimeError(f"Unexpected ASGI message {kind!r} while open.")

    def _write(self, frame: bytes) -> None:
        """Now; with more messages waiting for the consumer, once it has handled them, too."""
        self.flush()
        run, work = self._run, self._run.work
        if run.backlog and work.stepping and len(frame) <= _LONGEST_HELD:
            self._held = [frame]
            work.unwritten.append(self)
        else:
            self.sink.write(frame)

    def flush(self) -> None:
        """Write what was held back: a system call for each frame costs more than its handler."""
        held, self._held = self._held, None
        if held is not None:
            self.sink.write(held[0] if len(held) == 1 else b"".join(held))

    def _frame(self, message: Message) -> bytes:
        text = message.get("text")
        if text is None:
            frame: bytes = self.sink.binary_frame(bytes(message["bytes"]))
            return frame
        return framed(self.sink.framing, text)

    def post(self, message: Message) -> bool:
        """See `Carrier.post`: the frame is made in the thread, and written on the loop."""
        if message["type"] != "websocket.send" or not self.sink.writable:
            return False
        if self._posted - self._written > _MOST_POSTED:
            return False
        frame = self._frame(message)
        self._posted += len(frame)
        self._run.post(self._write_posted, frame)
        return True

    def _write_posted(self, frame: bytes) -> None:
        self._written += len(frame)
        self.sink.write(frame)

    def close(self, code: int, reason: str) -> None:
        """See `Carrier.close`. Closing frees a handler that waits for a slow client."""
        self._closed = True
        self.flush()
        self.sink.close(int(code), reason)
        self.on_writable()

    def eased(self) -> None:
        """See `Carrier.eased`."""
        self.sink.resume_reading()

    def end(self, error: Exception | None) -> None:
        """See `Carrier.end`."""
        if error is not None:
            name, path = type(self._run.consumer).__qualname__, self._run.consumer.scope.get("path")
            logger.error("consumer %s failed path=%s", name, path, exc_info=error)
        self.flush()
        self.sink.close(CloseCode.NORMAL if error is None else CloseCode.INTERNAL_ERROR)
