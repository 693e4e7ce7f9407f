"""A consumer's messages by ASGI's receive and send, for good or until it takes its connection over.

What lives here: `AsgiCarrier`, and the application's coroutine around it.
What must not: mailboxes and handlers (`run`), a connection that was taken over (`sink_carrier`).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from seaway.consumers.handlers import LAST_TYPES
from seaway.consumers.layer import Message
from seaway.consumers.run import READ_AHEAD, Run
from seaway.consumers.sink_carrier import SinkCarrier
from seaway.middleware import Receive, Scope, Send, is_ours
from seaway.server.asgi_types import ClientDisconnected
from seaway.server.flow import Gate
from seaway.server.handoff import EXTENSION

if TYPE_CHECKING:
    from seaway.consumers.consumer import AsyncConsumer


async def serve(consumer: AsyncConsumer, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a consumer, until its end or until it has taken its connection over.

    :raises Exception: whatever a handler has raised.
    """
    run = Run(consumer)
    carrier = run.carrier = AsgiCarrier(run, receive, send, _take_of(consumer, scope))
    consumer._take_up(run)
    await run.open(consumer.channel_layer)
    await carrier.serve()


def _take_of(consumer: AsyncConsumer, scope: Scope) -> Any:
    """What takes the connection over; None where that is not possible."""
    handoff = (scope.get("extensions") or {}).get(EXTENSION)
    if handoff is None or scope["type"] != "websocket":
        return None
    return handoff["take"] if handoff.get("via") is consumer and is_ours(consumer) else None


#: Scope types with a client at the other end: what it has sent goes when it goes.
_CLIENTS = frozenset({"http", "websocket"})


class AsgiCarrier:
    """ASGI's receive and send: two tasks while it lasts."""

    __slots__ = (
        "_closing",
        "_done",
        "_gate",
        "_gone",
        "_reader",
        "_receive",
        "_run",
        "_send",
        "_take",
    )

    def __init__(self, run: Run, receive: Receive, send: Send, take: Any) -> None:
        self._run = run
        self._receive = receive
        self._send = send
        self._take = take
        loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = loop.create_future()
        self._reader: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._gate = Gate()
        self._gone = False

    async def serve(self) -> None:
        """From here to the consumer's end, or to the handoff."""
        run = self._run
        self._reader = asyncio.get_running_loop().create_task(self._read())
        try:
            await self._done
        except asyncio.CancelledError:
            await run.abandon()
            raise
        finally:
            for task in (self._reader, self._closing):
                if task is not None and not task.done():
                    task.cancel()
                    await asyncio.wait([task])
        if run.carrier is self and run.error is not None:
            raise run.error

    async def _read(self) -> None:
        run = self._run
        loop = asyncio.get_running_loop()
        # What is taken from a channel of `runworker` must not be lost with a consumer that stops.
        one_by_one = run.consumer.scope["type"] not in _CLIENTS
        try:
            while not run.ended:
                message = await self._receive()
                if message["type"] in LAST_TYPES:
                    self._gone = True
                run.hear(message)
                if self._gone:
                    return
                while run.backlog >= READ_AHEAD or (one_by_one and run.busy):
                    run.paused = True
                    await self._gate.wait(loop)
        except Exception as error:  # noqa: BLE001 - the server's receive has failed: so has the run
            run.fail(error)

    async def send(self, message: Message) -> None:
        """See `Carrier.send`."""
        kind = message["type"]
        if self._gone and kind.startswith("websocket."):
            return
        try:
            await self._send(message)
        except OSError:
            # ASGI 2.4: the client has gone; receive will say so, too.
            self._gone = True
        if kind == "websocket.accept" and self._take is not None:
            self._hand_over()
        elif kind == "websocket.close":
            self._gone = True

    def _hand_over(self) -> None:
        # The reader waits for the next message, which stays where it is.
        if self._reader is not None:
            self._reader.cancel()
        carrier = SinkCarrier(self._run)
        try:
            carrier.sink = self._take(carrier)
        except ClientDisconnected:
            self._reader = asyncio.get_running_loop().create_task(self._read())
            return
        consumer = self._run.consumer
        extensions = consumer.scope["extensions"]
        # It holds what the server knows of the handshake.
        consumer.scope["extensions"] = {k: v for k, v in extensions.items() if k != EXTENSION}
        self._run.carrier = carrier
        if consumer.base_send == self._run.send:
            # What `Run.send` does is done: it has been accepted.
            consumer.base_send = carrier.send
        self._done.set_result(None)

    def post(self, message: Message) -> bool:
        """See `Carrier.post`: ASGI's send has to be awaited."""
        return False

    def close(self, code: int, reason: str) -> None:
        """See `Carrier.close`."""
        if self._closing is None and not self._gone:
            self._closing = asyncio.get_running_loop().create_task(self._close(code, reason))

    async def _close(self, code: int, reason: str) -> None:
        self._gone = True
        if self._run.consumer.scope["type"] == "websocket":
            with contextlib.suppress(OSError):
                await self._send({"type": "websocket.close", "code": int(code), "reason": reason})
        else:
            self._run.fail(RuntimeError(reason))

    def eased(self) -> None:
        """See `Carrier.eased`."""
        self._gate.open()

    def end(self, error: Exception | None) -> None:
        """See `Carrier.end`."""
        if not self._done.done():
            self._done.set_result(None)
