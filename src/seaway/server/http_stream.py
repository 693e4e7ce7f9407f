"""One HTTP request and its response: the ASGI HTTP cycle (ASGI HTTP, version 2.5).

What lives here: scope, receive and send of one request, and what is done when the application ends.
What must not: bytes of a protocol version; HTTP/1.1 and HTTP/2 share this file.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from seaway.protocol.events import InterimResponse, RequestReceived, ResponseData, ResponseStarted
from seaway.server.asgi_types import ClientDisconnected, Message
from seaway.server.flow import Gate
from seaway.server.logs import access_log, log_event, server_log
from seaway.server.scope import http_scope

if TYPE_CHECKING:
    from seaway.server.connection import HttpConnection

#: Where a response stands.
_WAITING, _STARTED, _COMPLETE = range(3)
#: An application that is never made to wait would keep the loop to itself: after so many parts of
#: a body it yields once.
_PARTS_PER_TURN = 32
#: Bytes of a request body that are read and dropped to keep a connection alive after an answer
#: that did not need them; with more to come, a new connection is cheaper.
_DISCARD_LIMIT = 256 * 1024
_CLOSE = (b"connection", b"close")


class HttpStream:
    """One request on a connection, from its head to the end of the application's coroutine."""

    __slots__ = (
        "_body",
        "_buffered",
        "_connection",
        "_delivered",
        "_discarded",
        "_gate",
        "_gone",
        "_lost",
        "_owes_continue",
        "_parts",
        "_request",
        "_sent",
        "_started_at",
        "_state",
        "_status",
        "ended",
        "full",
        "number",
        "task",
    )

    def __init__(self, connection: HttpConnection, request: RequestReceived) -> None:
        self._connection = connection
        self._request = request
        self.number = request.stream
        #: Whether the request has arrived whole.
        self.ended = request.ended
        #: Whether more of its body waits for the application than ``body_buffer``.
        self.full = False
        self.task: asyncio.Task[None] | None = None
        self._body: list[bytes] = []
        self._buffered = 0
        self._discarded = 0
        self._delivered = False
        self._owes_continue = request.expects_continue
        self._gate = Gate()
        self._gone = False
        self._lost = False
        self._state = _WAITING
        self._parts = 0
        self._status = 0
        self._sent = 0
        self._started_at = 0.0

    def start(self) -> None:
        """Run the application for this request."""
        context = self._connection.context
        if context.config.access_log:
            self._started_at = context.loop.time()
        context.running.add(self)
        self.task = context.loop.create_task(self._run())

    # From the connection -------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """A part of the request's body has come."""
        if self._state == _COMPLETE:
            self._discard(len(data))
            return
        self._body.append(data)
        self._buffered += len(data)
        self.full = self._buffered > self._connection.context.config.body_buffer
        self._gate.open()

    def end(self) -> None:
        """The request's body is complete."""
        self.ended = True
        self._gate.open()

    def disconnect(self) -> None:
        """The client sends no more."""
        self._gone = True
        self._gate.open()

    def lost(self) -> None:
        """The connection is gone: nothing can be sent."""
        self._lost = True
        self.disconnect()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _DISCARD_LIMIT:
            self._connection.close()

    # The application's side ----------------------------------------------------------------------

    async def _run(self) -> None:
        connection = self._connection
        context = connection.context
        error: BaseException | None = None
        try:
            scope = http_scope(
                context,
                self._request,
                connection.client,
                connection.server,
                secure=connection.secure,
            )
            await context.app(scope, self.receive, self.send)
        except (ClientDisconnected, asyncio.CancelledError) as ending:
            error = ending
        except Exception as failure:  # noqa: BLE001 - whatever it is, it ends this request only
            error = failure
            self._log_failure("application_failed", failure)
        context.finished(self)
        self.task = None
        self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        if self._state != _COMPLETE:
            if error is None and not self._gone:
                self._log_failure("incomplete_response" if self._state else "no_response")
            self._connection.response_failed(self, started=self._state == _STARTED)
            self._status = self._status or (499 if self._gone else 500)
        if self._connection.context.config.access_log:
            self._log_access()

    def _log_failure(self, event: str, error: BaseException | None = None) -> None:
        path = self._request.target.partition(b"?")[0].decode("latin-1")
        log_event(server_log, logging.ERROR, event, error, method=self._request.method, path=path)

    def _log_access(self) -> None:
        connection = self._connection
        elapsed = connection.context.loop.time() - self._started_at
        log_event(
            access_log,
            logging.INFO,
            "request",
            method=self._request.method,
            path=self._request.target.partition(b"?")[0].decode("latin-1"),
            status=self._status,
            bytes=self._sent,
            ms=round(elapsed * 1000, 1),
            client=connection.client[0] if connection.client else "unix",
        )

    async def receive(self) -> Message:
        """ASGI's receive: parts of the body, then ``http.disconnect`` once there is one."""
        connection = self._connection
        if self._owes_continue:
            # RFC 9110 section 10.1.1: sent when the body is wanted, not before.
            self._owes_continue = False
            if self._state == _WAITING and not (self._body or self.ended or self._gone):
                connection.send(InterimResponse(self.number, 100, []))
        while True:
            if self._state == _COMPLETE:
                return {"type": "http.disconnect"}
            if self._body or (self.ended and not self._delivered):
                return self._take_body()
            if self._gone:
                return {"type": "http.disconnect"}
            await self._gate.wait(connection.context.loop)

    def _take_body(self) -> Message:
        parts = self._body
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._buffered = 0
        self._delivered = self.ended
        if self.full:
            self.full = False
            self._connection.update_reading()
        return {"type": "http.request", "body": body, "more_body": not self.ended}

    async def send(self, message: Message) -> None:
        """ASGI's send. Raises `ClientDisconnected` once the connection is gone."""
        if self._lost:
            raise ClientDisconnected
        kind = message["type"]
        if kind == "http.response.body" and self._state == _STARTED:
            await self._send_body(message)
        elif kind == "http.response.start" and self._state == _WAITING:
            self._send_start(message)
        else:
            stands = ("before the response", "in the response", "after the response")[self._state]
            raise RuntimeError(f"Unexpected ASGI message {kind!r} {stands}.")

    def _send_start(self, message: Message) -> None:
        connection = self._connection
        headers = message.get("headers", ())
        default = connection.context.default_headers
        if default or not isinstance(headers, list):
            headers = [*default, *headers]
        if connection.context.draining:
            headers = [*headers, _CLOSE]
        self._status = message["status"]
        connection.send(ResponseStarted(self.number, self._status, headers))
        self._state = _STARTED

    async def _send_body(self, message: Message) -> None:
        connection = self._connection
        data = message.get("body", b"")
        more = message.get("more_body", False)
        if type(data) is not bytes:
            data = bytes(data)
        self._sent += connection.send(ResponseData(self.number, data, not more))
        if not more:
            self._state = _COMPLETE
            self._body.clear()
            self.full = False
            self._gate.open()
            connection.response_ended(self)
            return
        self._parts += 1
        if not connection.writable:
            while not connection.writable and not self._lost:
                await connection.gate.wait(connection.context.loop)
            if self._lost:
                raise ClientDisconnected
        elif self._parts % _PARTS_PER_TURN == 0:
            await asyncio.sleep(0)
