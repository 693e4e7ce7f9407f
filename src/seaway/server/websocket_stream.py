"""One WebSocket as an ASGI application sees it, from handshake to close or handoff.

What lives here: the ASGI WebSocket cycle (ASGI WebSocket, version 2.5), the denial response, and
the extension ``seaway.handoff``.
What must not: the open connection's bytes (`websocket_sink`).

Until the application takes the connection over, the stream's inbox is its handler. Afterwards
nothing of either stays: no scope, no task, no queue.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from seaway.exceptions import CloseCode, ProtocolError
from seaway.protocol.events import RequestReceived, ResponseData, ResponseStarted
from seaway.protocol.websocket.connection import WebSocketConnection
from seaway.protocol.websocket.handshake import (
    VERSION_HEADER,
    Handshake,
    accept,
    read_request,
)
from seaway.server.access import client_of, log_refusal, path_of, wanted
from seaway.server.asgi_types import ClientDisconnected, Message, Scope
from seaway.server.handoff import EXTENSION, Handler, Sink
from seaway.server.logs import log_event, server_log
from seaway.server.scope import websocket_scope
from seaway.server.websocket_inbox import Inbox
from seaway.server.websocket_sink import WebSocketSink

if TYPE_CHECKING:
    from seaway.server.carrier import Carrier

#: Where the conversation stands: nothing answered yet; a response instead of a WebSocket is being
#: sent; open; over.
_CONNECTING, _DENYING, _OPEN, _OVER = range(4)
#: An application that is never made to wait would keep the loop to itself: after so many messages
#: it yields once.
_MESSAGES_PER_TURN = 32
_CLOSE = (b"connection", b"close")


class WebSocketStream:
    """The ASGI side of one WebSocket: receive, send and take."""

    __slots__ = (
        "_asked",
        "_connection",
        "_context",
        "_handshake",
        "_inbox",
        "_request",
        "_sends",
        "_state",
        "_status",
        "ended",
        "full",
        "holds_back",
        "number",
        "task",
    )

    def __init__(self, connection: Carrier, request: RequestReceived) -> None:
        self._connection: Carrier | None = connection
        self._context = connection.context
        self._request = request
        self.number = request.stream
        self.ended = True
        self.holds_back = False
        self.full = False
        self.task: asyncio.Task[None] | None = None
        self._handshake: Handshake
        self._inbox = Inbox(self._context)
        self._state = _CONNECTING
        self._status = 0
        self._asked = False
        self._sends = 0

    def start(self) -> None:
        """Run the application for this handshake, or refuse it (RFC 6455 section 4.2)."""
        connection = self._http()
        try:
            self._handshake = read_request(self._request)
        except ProtocolError as error:
            self._state = _OVER
            headers = [VERSION_HEADER] if error.status == 426 else []
            connection.respond(self.number, error.status, error.reason, headers)
            connection.close()
            return
        self._context.running.add(self)
        self.task = self._context.loop.create_task(self._run())

    @property
    def answered(self) -> bool:
        """Whether the handshake has been answered."""
        return self._state != _CONNECTING

    @property
    def busy(self) -> bool:
        """Whether the application is still to answer."""
        return self.task is not None and self._state in (_CONNECTING, _DENYING)

    def _http(self) -> Carrier:
        assert self._connection is not None  # noqa: S101 - for the type checker: before `_accept`
        return self._connection

    # From the HTTP connection, before the handshake is answered ----------------------------------

    def feed(self, data: bytes) -> None:
        """Nothing: `protocol.http1` holds what follows an upgrade request."""

    def end(self) -> None:
        """Nothing: an upgrade request has no body."""

    def disconnect(self) -> None:
        """The client has given up."""
        self._inbox.on_close(CloseCode.ABNORMAL, "")

    def lost(self) -> None:
        """The connection is gone."""
        self.disconnect()

    # The application's side ----------------------------------------------------------------------

    async def _run(self) -> None:
        connection = self._http()
        scope: Scope = websocket_scope(
            connection,
            self._request,
            list(self._handshake.subprotocols),
            self._extensions(connection),
        )
        del connection
        failed = False
        try:
            await self._context.app(scope, self.receive, self.send)
        except (ClientDisconnected, asyncio.CancelledError):
            failed = True
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this connection only
            failed = True
            self._log_failure("application_failed", error)
        self._context.finished(self)
        self.task = None
        self._finish(failed=failed)

    def _extensions(self, connection: Carrier) -> dict[str, Any]:
        handoff = {"take": self.take, "via": self._context.app}
        found: dict[str, Any] = {"websocket.http.response": {}, EXTENSION: handoff}
        tls = connection.extensions.get("tls")
        return found if tls is None else {**found, "tls": tls}

    def _finish(self, *, failed: bool) -> None:
        if self._inbox.sink is not None:
            if failed:
                self._inbox.sink.close(CloseCode.INTERNAL_ERROR)
            elif not self._inbox.taken:
                self._inbox.sink.close(CloseCode.NORMAL)
        elif self._state != _OVER:
            if not failed and self._inbox.closed is None:
                self._log_failure("incomplete_response" if self._state else "no_response")
            self._http().response_failed(self, started=self._state == _DENYING)
            self._log_refusal(500)
        self._connection = None

    def _log_failure(self, event: str, error: BaseException | None = None) -> None:
        path = path_of(self._request)
        log_event(server_log, logging.ERROR, event, error, method="WEBSOCKET", path=path)

    def _log_refusal(self, status: int) -> None:
        if wanted(self._context, self._request):
            client = self._connection.client if self._connection else None
            log_refusal(self._context, self._request, client, status)

    async def receive(self) -> Message:
        """ASGI's receive: connect, messages, disconnect."""
        if not self._asked:
            self._asked = True
            return {"type": "websocket.connect"}
        data = await self._inbox.next()
        if isinstance(data, str):
            return {"type": "websocket.receive", "text": data}
        if data is not None:
            return {"type": "websocket.receive", "bytes": data}
        code, reason = self._inbox.closed or (CloseCode.ABNORMAL, "")
        return {"type": "websocket.disconnect", "code": int(code), "reason": reason}

    async def send(self, message: Message) -> None:
        """ASGI's send. Raises `ClientDisconnected` once the connection is gone."""
        kind = message["type"]
        if kind == "websocket.send" and self._state == _OPEN:
            await self._send_message(message)
            return
        if self._inbox.closed is not None:
            raise ClientDisconnected
        handle = _ON_SEND.get((self._state, kind))
        if handle is None:
            stands = ("before accept", "in a denial", "while open", "after the end")[self._state]
            raise RuntimeError(f"Unexpected ASGI message {kind!r} {stands}.")
        await handle(self, message)

    async def _send_message(self, message: Message) -> None:
        sink = self._inbox.sink
        if self._inbox.closed is not None or sink is None:
            raise ClientDisconnected
        data, binary = message.get("text"), message.get("bytes")
        if data is None:
            data = binary
            if data is None:
                raise ValueError(
                    "The application sent a websocket.send with neither text nor bytes."
                )
        elif binary is not None:
            raise ValueError("The application sent a websocket.send with both text and bytes.")
        sink.send(data)
        self._sends += 1
        if not sink.writable:
            while not sink.writable:
                if self._inbox.closed is not None:
                    raise ClientDisconnected
                await self._inbox.changed()
        elif self._sends % _MESSAGES_PER_TURN == 0:
            await asyncio.sleep(0)

    async def _accept(self, message: Message) -> None:
        connection = self._http()
        config = self._context.config
        headers, deflate = accept(
            self._handshake,
            subprotocol=message.get("subprotocol"),
            deflate=config.websocket_compression,
        )
        own = list(message.get("headers", ()))
        if any(name.lower() == b"sec-websocket-protocol" for name, _ in own):
            raise RuntimeError(
                "websocket.accept names the subprotocol by its key, not by a header."
            )
        headers = [*headers, *self._context.default_headers, *own]
        transport = connection.accept(ResponseStarted(self.number, 101, headers))
        websocket = WebSocketConnection(config.max_message_bytes, deflate)
        sink = WebSocketSink(self._context, transport, websocket, self._inbox)
        self._inbox.sink = sink
        if wanted(self._context, self._request):
            client = client_of(self._context, self._request, connection.client)
            sink.log_at_close(path_of(self._request), client)
        self._state = _OPEN
        early = connection.hand_over(sink)
        self._connection = None
        if early:
            sink.data_received(early)
        if self._context.draining:
            sink.drain()

    async def _close(self, message: Message) -> None:
        assert self._inbox.sink is not None  # noqa: S101 - for the type checker: the state is open
        self._state = _OVER
        code = message.get("code", CloseCode.NORMAL)
        self._inbox.sink.close(code, message.get("reason") or "")

    async def _refuse(self, _message: Message) -> None:
        """Closed before it was accepted: 403 (ASGI WebSocket, "Close - send event")."""
        connection = self._http()
        self._state = _OVER
        connection.respond(self.number, 403)
        connection.close()
        self._log_refusal(403)

    async def _deny(self, message: Message) -> None:
        self._state = _DENYING
        self._status = message["status"]
        headers = [*self._context.default_headers, *message.get("headers", ()), _CLOSE]
        self._http().send(ResponseStarted(self.number, self._status, headers))

    async def _deny_body(self, message: Message) -> None:
        connection = self._http()
        more = message.get("more_body", False)
        data = bytes(message.get("body", b""))
        connection.send(ResponseData(self.number, data, not more))
        if not more:
            self._state = _OVER
            self._log_refusal(self._status)
            connection.response_ended(self)
        else:
            while not connection.writable and self._inbox.closed is None:
                await connection.gate.wait(self._context.loop)

    # The handoff ---------------------------------------------------------------------------------

    def take(self, handler: Handler) -> Sink:
        """``seaway.handoff``: ``handler`` gets everything from now on; returns its sink.

        Raises `ClientDisconnected` if the connection is gone already, and RuntimeError before
        ``websocket.accept`` and the second time.
        """
        inbox, sink = self._inbox, self._inbox.sink
        if inbox.taken:
            raise RuntimeError("seaway.handoff was taken already.")
        if sink is None or self._state != _OPEN:
            raise RuntimeError("seaway.handoff needs an accepted, open WebSocket.")
        if inbox.closed is not None:
            raise ClientDisconnected
        self._state = _OVER
        inbox.pass_to(handler, sink)
        return sink


_ON_SEND = {
    (_CONNECTING, "websocket.accept"): WebSocketStream._accept,
    (_CONNECTING, "websocket.close"): WebSocketStream._refuse,
    (_CONNECTING, "websocket.http.response.start"): WebSocketStream._deny,
    (_DENYING, "websocket.http.response.body"): WebSocketStream._deny_body,
    (_OPEN, "websocket.close"): WebSocketStream._close,
}
