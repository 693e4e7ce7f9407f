"""One HTTP request and its response: the ASGI HTTP cycle (ASGI HTTP, version 2.5).

What lives here: scope, receive and send of one request, and what is done when the application ends.
What must not: bytes of a protocol version; HTTP/1.1 and HTTP/2 share this file.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from seaway.protocol.events import (
    Headers,
    InterimResponse,
    RequestReceived,
    ResponseData,
    ResponseStarted,
    ResponseTrailers,
)
from seaway.protocol.headers import token_list, values_of
from seaway.server.access import log_request, path_of, wanted
from seaway.server.asgi_types import Application, ClientDisconnected, Message, Scope
from seaway.server.file_body import open_file, read_file
from seaway.server.flow import Gate, start_task
from seaway.server.handoff import EXTENSION, Farewell, Framing, Handler, Sink
from seaway.server.logs import log_event, server_log
from seaway.server.scope import http_scope

if TYPE_CHECKING:
    from seaway.server.carrier import Carrier

#: Where a response stands: no message yet; its head waits for the first part of its body; the head
#: is sent; all is sent.
#: A body that trailers follow ends before the response does.
_WAITING, _HELD, _STARTED, _TRAILING, _COMPLETE = range(5)
_BODY_MAY_FOLLOW = (_HELD, _STARTED)
_STANDS = (
    "before the response",
    "before the body",
    "in the body",
    "before the trailers",
    "after the response",
)
#: Where the client stands: listening; it sends no more; its connection is gone.
_HERE, _GONE, _LOST = range(3)
#: An application that is never made to wait would keep the loop to itself: after so many parts of
#: a body it yields once.
_PARTS_PER_TURN = 32
#: Bytes of a request body that are read and dropped to keep a connection alive after an answer
#: that did not need them; with more to come, a new connection is cheaper.
_DISCARD_LIMIT = 256 * 1024
_CLOSE = (b"connection", b"close")
#: Fields by which an application frames a file itself.
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class HttpStream:
    """One request on a connection, from its head to the end of the application's coroutine."""

    __slots__ = (
        "_body",
        "_buffered",
        "_connection",
        "_delivered",
        "_discarded",
        "_gate",
        "_headers",
        "_parts",
        "_peer",
        "_request",
        "_sent",
        "_started_at",
        "_state",
        "_status",
        "_trailers",
        "ended",
        "full",
        "holds_back",
        "number",
        "task",
    )

    def __init__(self, connection: Carrier, request: RequestReceived) -> None:
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
        #: Whether the client waits for our 100 before it sends its body.
        self.holds_back = request.expects_continue
        #: Where `receive` waits; made when it first has to.
        self._gate: Gate | None = None
        self._peer = _HERE
        self._state = _WAITING
        self._parts = 0
        self._headers: Headers
        self._status = 0
        self._sent = 0
        #: The trailers so far, or None if none were announced.
        self._trailers: Headers | None = None

    @property
    def answered(self) -> bool:
        """Whether the response is complete."""
        return self._state == _COMPLETE

    @property
    def busy(self) -> bool:
        """Whether the application is still to answer."""
        return self._state != _COMPLETE and self in self._connection.context.running

    def start(self) -> None:
        """Run the application for this request."""
        context = self._connection.context
        if context.config.access_log:
            self._started_at = context.loop.time()
        context.running.add(self)
        # Not `self.ended`: that of a pipelined request is true by now, body or no body.
        if context.take is None or not self._request.ended:
            self.run(context.app)
            return
        try:
            extensions = self._connection.extensions.copy()
            taken = context.take(http_scope(self._connection, self._request, extensions), self)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this request only
            self.fail(error)
        else:
            if not taken:
                self.run(context.app)

    # The responder's side (see `respond`) ---------------------------------------------------------

    def run(self, app: Application) -> None:
        """Have ``app`` answer, in a task."""
        connection = self._connection
        # A dictionary of its own either way: applications may add to theirs.
        extensions = (
            connection.extensions.copy()
            if connection.stream_body is None
            else {**connection.extensions, EXTENSION: {"take": self.take}}
        )
        scope = http_scope(connection, self._request, extensions)
        self.task = start_task(connection.context.loop, self._run(app, scope), scope["path"])

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole response."""
        if self._peer == _LOST:
            self._finish(ClientDisconnected())
            return
        try:
            self._hold_head(status, headers)
            self._send_part(body, more=False)
        except Exception as error:  # noqa: BLE001 - as if the coroutine had raised it
            self.fail(error)
        else:
            self._finish(None)

    def fail(self, error: Exception) -> None:
        """The application's failure."""
        self._log_failure("application_failed", error)
        self._finish(error)

    # From the connection -------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """A part of the request's body has come."""
        if self._state == _COMPLETE:
            self._connection.took(len(data))
            self._discard(len(data))
            return
        self._body.append(data)
        self._buffered += len(data)
        self.full = self._buffered > self._connection.context.config.body_buffer
        self._wake()

    def end(self) -> None:
        """The request's body is complete."""
        self.ended = True
        self._wake()

    def disconnect(self) -> None:
        """The client sends no more."""
        self._peer = max(self._peer, _GONE)
        self._wake()

    def lost(self) -> None:
        """The connection is gone: nothing can be sent."""
        self._peer = _LOST
        self._wake()

    def _wake(self) -> None:
        if self._gate is not None:
            self._gate.open()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > _DISCARD_LIMIT:
            self._connection.close()

    # The application's side ----------------------------------------------------------------------

    async def _run(self, app: Application, scope: Scope) -> None:
        error: BaseException | None = None
        try:
            await app(scope, self.receive, self.send)
        except (ClientDisconnected, asyncio.CancelledError) as ending:
            error = ending
        except Exception as failure:  # noqa: BLE001 - whatever it is, it ends this request only
            error = failure
            self._log_failure("application_failed", failure)
        self.task = None
        self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        context = self._connection.context
        context.finished(self)
        if self._state != _COMPLETE:
            self._fail(error)
        if context.config.access_log and wanted(context, self._request):
            elapsed = context.loop.time() - self._started_at
            log_request(
                context, self._request, self._connection.client, self._status, self._sent, elapsed
            )

    def _fail(self, error: BaseException | None) -> None:
        """The application has ended without a complete response."""
        if error is None and self._peer == _HERE:
            self._log_failure("no_response" if self._state == _WAITING else "incomplete_response")
        started = self._state in (_STARTED, _TRAILING)
        if not started:
            # 499: nginx's name for a client that closed its request; it is in the log only.
            self._status = 500 if self._peer == _HERE else 499
        self._connection.response_failed(self, started=started)

    def _log_failure(self, event: str, error: BaseException | None = None) -> None:
        method, path = self._request.method, path_of(self._request)
        log_event(server_log, logging.ERROR, event, error, method=method, path=path)

    def _note(self, event: str, **fields: Any) -> None:
        method, path = self._request.method, path_of(self._request)
        log_event(server_log, logging.WARNING, event, method=method, path=path, **fields)

    async def receive(self) -> Message:
        """ASGI's receive: parts of the body, then ``http.disconnect`` once there is one."""
        connection = self._connection
        if self.holds_back:
            # RFC 9110 section 10.1.1: sent when the body is wanted, not before.
            self.holds_back = False
            if self._state in (_WAITING, _HELD) and not (self._body or self.ended or self._peer):
                connection.send(InterimResponse(self.number, 100, []))
        while True:
            if self._state == _COMPLETE:
                return {"type": "http.disconnect"}
            if self._body or (self.ended and not self._delivered):
                return self._take_body()
            if self._peer:
                return {"type": "http.disconnect"}
            if self._gate is None:
                self._gate = Gate()
            await self._gate.wait(connection.context.loop)

    def _take_body(self) -> Message:
        parts = self._body
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._delivered = self.ended
        if self._buffered:
            self._release()
        return {"type": "http.request", "body": body, "more_body": not self.ended}

    def _release(self) -> None:
        """What was buffered of the body is gone: the client may send more."""
        size, self._buffered, self.full = self._buffered, 0, False
        self._connection.took(size)

    async def send(self, message: Message) -> None:
        """ASGI's send. Raises `ClientDisconnected` once the connection is gone."""
        if self._peer == _LOST:
            raise ClientDisconnected
        kind, state = message["type"], self._state
        if kind == "http.response.start" and state == _WAITING:
            self._hold_head(message["status"], message.get("headers", ()))
            if message.get("trailers"):
                self._trailers = []
        elif kind == "http.response.body" and state in _BODY_MAY_FOLLOW:
            data, more = message.get("body", b""), message.get("more_body", False)
            self._send_part(data if type(data) is bytes else bytes(data), more)
            if more:
                await self._pace()
        elif kind in _EXTENSIONS and state in _EXTENSIONS[kind][0]:
            await _EXTENSIONS[kind][1](self, message)
        elif state == _COMPLETE and kind.startswith("http.response."):
            # ASGI: "any further messages on the channel will be ignored".
            self._note("message_ignored", kind=kind)
        else:
            raise RuntimeError(f"Unexpected ASGI message {kind!r} {_STANDS[state]}.")

    def _hold_head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Kept until there is a body: ASGI demands it, and an error can still become a 500."""
        default = self._connection.context.default_headers
        self._headers = headers if type(headers) is list and not default else [*default, *headers]
        self._status = status
        self._state = _HELD

    def _send_part(self, data: bytes, more: bool) -> None:
        connection = self._connection
        ended = not more and self._trailers is None
        if self._state == _HELD:
            if connection.context.draining:
                self._headers = [*self._headers, _CLOSE]
            self._sent = connection.answer(self.number, self._status, self._headers, data, ended)
            self._state = _STARTED
        else:
            self._sent += connection.send(ResponseData(self.number, data, ended))
        if ended:
            self._complete()
        elif not more:
            self._state = _TRAILING

    def _complete(self) -> None:
        self._state = _COMPLETE
        if self._buffered:
            self._body.clear()
            self._release()
        if self._gate is not None:
            self._gate.open()
        self._connection.response_ended(self)

    async def _send_hint(self, message: Message) -> None:
        """Extension ``http.response.early_hint`` (RFC 8297)."""
        if self._state == _STARTED:
            return  # HTTP has no place for it any more; ASGI leaves it to the server
        links = [(b"link", link) for link in message["links"]]
        self._connection.send(InterimResponse(self.number, 103, links))

    async def _send_push(self, message: Message) -> None:
        """Extension ``http.response.push``."""
        headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        self._connection.push(message["path"].encode(), headers)

    async def _send_trailers(self, message: Message) -> None:
        """Extension ``http.response.trailers``."""
        assert self._trailers is not None  # noqa: S101 - for the type checker: the state says so
        self._trailers += message.get("headers", ())
        if not message.get("more_trailers", False):
            # RFC 9110 section 6.5.1: to clients that have said they take them.
            wanted = b"trailers" in token_list(values_of(self._request.headers, b"te"))
            trailers = self._trailers if wanted else []
            self._connection.send(ResponseTrailers(self.number, trailers))
            self._complete()

    async def _send_path(self, message: Message) -> None:
        """Extension ``http.response.pathsend``: a file in place of a body."""
        loop, connection = self._connection.context.loop, self._connection
        file, size = await loop.run_in_executor(None, open_file, Path(message["path"]))
        with file:
            if all(name.lower() not in _FRAMING for name, _ in self._headers):
                self._headers = [*self._headers, (b"content-length", b"%d" % size)]
            self._send_part(b"", more=True)
            if self._request.method == "HEAD":
                self._send_part(b"", more=False)
            elif connection.copies_files(size):
                self._sent += await connection.copy_file(file, size)
                self._send_part(b"", more=False)
            else:
                await self._send_parts(file, size)

    async def _send_parts(self, file: BinaryIO, size: int) -> None:
        async with contextlib.aclosing(read_file(file, size)) as parts:
            async for part, more in parts:
                if self._peer == _LOST:
                    raise ClientDisconnected
                self._send_part(part, more)
                await self._pace()

    def take(self, handler: Handler, framing: Framing, farewell: Farewell) -> Sink:
        """``seaway.handoff``: the body is the sink's from now on.

        Raises `ClientDisconnected` if the client is gone already, and RuntimeError before
        ``http.response.start`` and after the first part of the body.
        """
        if self._state != _HELD:
            raise RuntimeError(f"seaway.handoff was taken {_STANDS[self._state]}.")
        if self._peer:
            raise ClientDisconnected
        # The connection ends with this response: its body ends only then.
        headers = [*self._headers, _CLOSE]
        connection = self._connection
        hand_over = connection.stream_body
        assert hand_over is not None  # noqa: S101 - it was offered in `_run`
        event = ResponseStarted(self.number, self._status, headers)
        sink = hand_over(event, handler, framing, farewell)
        self._state = _COMPLETE
        self._body.clear()
        return sink

    async def _pace(self) -> None:
        """Wait while the client does not keep up, and let others have their turn."""
        connection = self._connection
        self._parts += 1
        if connection.writable or self._state == _COMPLETE:
            if self._parts % _PARTS_PER_TURN == 0:
                await asyncio.sleep(0)
            return
        while not connection.writable and self._peer != _LOST:
            await connection.gate.wait(connection.context.loop)
        if self._peer == _LOST:
            raise ClientDisconnected


#: Messages of extensions, where the response must stand for them, and what is done.
_EXTENSIONS: dict[
    str, tuple[tuple[int, ...], Callable[[HttpStream, Message], Coroutine[Any, Any, None]]]
] = {
    "http.response.early_hint": ((_WAITING, _HELD, _STARTED), HttpStream._send_hint),
    "http.response.push": ((_WAITING, _HELD, _STARTED), HttpStream._send_push),
    "http.response.trailers": ((_TRAILING,), HttpStream._send_trailers),
    "http.response.pathsend": ((_HELD,), HttpStream._send_path),
}
