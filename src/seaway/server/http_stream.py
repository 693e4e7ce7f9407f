"""One HTTP request and its response: the ASGI HTTP cycle (ASGI HTTP, version 2.5).

What lives here: how an application is run for a request, and what is done when it ends.
What must not: bytes of a protocol version; HTTP/1.1 and HTTP/2 share this file. Receiving
(`request_half`) and sending (`response_half`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from seaway.protocol.events import Headers, RequestReceived, ResponseStarted
from seaway.server.access import log_request, path_of, wanted
from seaway.server.asgi_types import Application, ClientDisconnected, Scope
from seaway.server.flow import start_task
from seaway.server.handoff import EXTENSION, Farewell, Framing, Handler, Sink
from seaway.server.logs import log_event, server_log
from seaway.server.request_half import COMPLETE, HELD, HERE, LOST, STARTED, TRAILING, WAITING
from seaway.server.response_half import CLOSE, STANDS, ResponseHalf
from seaway.server.scope import http_scope

if TYPE_CHECKING:
    from seaway.server.carrier import Carrier


class HttpStream(ResponseHalf):
    """One request on a connection, from its head to the end of the application's coroutine."""

    __slots__ = ("_started_at", "task")

    def __init__(self, connection: Carrier, request: RequestReceived) -> None:
        self._connection = connection
        self._request = request
        self.number = request.stream
        self.ended = request.ended
        self.full = False
        self.task: asyncio.Task[None] | None = None
        self._body = []
        self._buffered = 0
        self._discarded = 0
        self._delivered = False
        self.holds_back = request.expects_continue
        self._gate = None
        self._peer = HERE
        self._state = WAITING
        self._parts = 0
        self._status = 0
        self._sent = 0
        self._trailers = None

    @property
    def answered(self) -> bool:
        """Whether the response is complete."""
        return self._state == COMPLETE

    @property
    def busy(self) -> bool:
        """Whether the application is still to answer."""
        return self._state != COMPLETE and self in self._connection.context.running

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
        if self._peer == LOST:
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

    def _complete(self) -> None:
        self._state = COMPLETE
        if self._buffered:
            self._body.clear()
            self._release()
        if self._gate is not None:
            self._gate.open()
        self._connection.response_ended(self)

    def _finish(self, error: BaseException | None) -> None:
        context = self._connection.context
        context.finished(self)
        if self._state != COMPLETE:
            self._fail(error)
        if context.config.access_log and wanted(context, self._request):
            elapsed = context.loop.time() - self._started_at
            log_request(
                context, self._request, self._connection.client, self._status, self._sent, elapsed
            )

    def _fail(self, error: BaseException | None) -> None:
        """The application has ended without a complete response."""
        if error is None and self._peer == HERE:
            self._log_failure("no_response" if self._state == WAITING else "incomplete_response")
        started = self._state in (STARTED, TRAILING)
        if not started:
            # 499: nginx's name for a client that closed its request; it is in the log only.
            self._status = 500 if self._peer == HERE else 499
        self._connection.response_failed(self, started=started)

    def _log_failure(self, event: str, error: BaseException | None = None) -> None:
        method, path = self._request.method, path_of(self._request)
        log_event(server_log, logging.ERROR, event, error, method=method, path=path)

    def take(self, handler: Handler, framing: Framing, farewell: Farewell) -> Sink:
        """``seaway.handoff``: the body is the sink's from now on.

        Raises `ClientDisconnected` if the client is gone already, and RuntimeError before
        ``http.response.start`` and after the first part of the body.
        """
        if self._state != HELD:
            raise RuntimeError(f"seaway.handoff was taken {STANDS[self._state]}.")
        if self._peer:
            raise ClientDisconnected
        # The connection ends with this response: its body ends only then.
        headers = [*self._headers, CLOSE]
        connection = self._connection
        hand_over = connection.stream_body
        assert hand_over is not None  # noqa: S101 - it was offered in `_run`
        event = ResponseStarted(self.number, self._status, headers)
        sink = hand_over(event, handler, framing, farewell)
        self._state = COMPLETE
        self._body.clear()
        return sink
