"""The synchronous stack: middleware and view in one hop to a thread of the pool.

What lives here: what happens in that thread, in order, and how its result gets sent.
What must not: how a request gets there and its result back (`job`), the pool's workings
(`seaway.pool`), asynchronous views (`on_loop`).

In the thread: request_started, the request, `get_response`, the response made into bytes. Then the
result is left for the loop, and only then the response is closed (request_finished, connections),
while the loop sends.
"""

from __future__ import annotations

import asyncio
import logging
from typing import IO, Any

from django.core.handlers.base import BaseHandler
from django.core.signals import request_started
from django.http import FileResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from seaway.http import caches
from seaway.http.hooks import fused
from seaway.http.job import Awaited, Job
from seaway.http.request import make_request
from seaway.http.response import StreamSender, file_message, has_content, head
from seaway.http.sending import send_iterated, send_streamed
from seaway.http.signals import close_silently, nobody_hears_end, nobody_hears_start
from seaway.http.stream import Stream
from seaway.http.types import Headers, Message, Receive, Scope, Send
from seaway.http.watch import ClientGone, Watch
from seaway.pool import (
    Hold,
    Leaving,
    begin_connections,
    hold,
    mailbox,
    submit,
    tidy_connections,
    use_loop,
)
from seaway.server.respond import Responder

logger = logging.getLogger("seaway.http")


class ThreadedHandler(BaseHandler):
    """Django's handler, its synchronous middleware chain loaded."""

    #: As Django's ASGIHandler has it: fewer, larger reads of a file.
    block_size = 64 * 1024

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware()

    def adapt_method_mode(
        self,
        is_async: bool,
        method: Any,
        method_is_async: bool | None = None,
        debug: bool = False,
        name: str | None = None,
    ) -> Any:
        if not is_async and not method_is_async:
            # load_middleware passes each middleware, wrapped, when it builds the next.
            quick = fused(getattr(method, "__wrapped__", None))
            if quick is not None:
                return quick
        return super().adapt_method_mode(is_async, method, method_is_async, debug, name)

    def take(self, scope: Scope, prefix: str, body: IO[bytes], responder: Responder) -> None:
        """Answer one request by way of ``responder``."""
        box = mailbox()
        submit(Job(self.run, scope, prefix, body, box, responder), box)

    async def serve(
        self, scope: Scope, prefix: str, body: IO[bytes], receive: Receive, send: Send
    ) -> None:
        """Answer one request."""
        reply = Awaited(asyncio.get_running_loop())
        self.take(scope, prefix, body, reply)
        await reply.send(scope, receive, send)

    def run(self, job: Job) -> None:
        """Everything that happens in the thread."""
        use_loop(job.box.loop)
        caches.restore()
        response: HttpResponseBase | None = None
        try:
            response = self._respond(job)
            if response.streaming:
                self._answer_streaming(job, response)
                return
            status, headers = head(response)
            content: bytes = response.content if has_content(response, "") else b""  # type: ignore[attr-defined]
            job.box.post(job.responder.respond, status, headers, content)
        except BaseException as error:  # noqa: BLE001 - the loop's side decides
            job.fail(error)
        finish(response, job.body)

    def _respond(self, job: Job) -> HttpResponseBase:
        set_script_prefix(job.prefix)
        if nobody_hears_start(type(self)):
            begin_connections()
        else:
            request_started.send(sender=type(self), scope=job.scope)
        request, refusal = make_request(job.scope, job.body, job.prefix)
        if request is None:
            assert refusal is not None  # noqa: S101 - one of the two, for the type checker
            return refusal
        response = self.get_response(request)
        response._handler_class = type(self)  # type: ignore[attr-defined]
        return response

    def _answer_streaming(self, job: Job, response: Any) -> None:
        status, headers = head(response)
        if not has_content(response, job.scope["method"]):
            job.box.post(job.responder.respond, status, headers, b"")
            finish(response, job.body)
            return
        if isinstance(response, FileResponse):
            response.block_size = self.block_size
        message = file_message(response, job.scope)
        if message is not None or response.is_async:
            job.leave(Left(status, headers, message, response, job))
            # Its close comes in another thread: this one's connections must not wait for it.
            tidy_connections()
            return
        stream = Stream(job.box)
        job.leave(Streamed(status, headers, stream, hold()))
        stream.fill(response.streaming_content)
        finish(response, job.body)


class Streamed:
    """A body that the thread goes on making, as fast as the client takes it."""

    __slots__ = ("_headers", "_hold", "_status", "_stream")

    def __init__(self, status: int, headers: Headers, stream: Stream, hold: Hold | None) -> None:
        self._status = status
        self._headers = headers
        self._stream = stream
        self._hold = hold

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        sender, watch = StreamSender(send), Watch(receive)
        # The client may take its time, or the iterable: the pool gets another thread meanwhile.
        leaving = Leaving(asyncio.get_running_loop(), self._hold) if self._hold else None
        try:
            await sender.start(self._status, self._headers)
            await send_streamed(self._stream, watch, sender)
        except ClientGone:
            pass
        finally:
            self.drop()
            watch.end()
            if leaving is not None:
                leaving.cancel()
            await sender.stop()

    def drop(self) -> None:
        self._stream.abandon()


class Left:
    """A body that the thread has left to the loop: an asynchronous iterator, or a file that the
    server sends by itself. The response is closed in a thread once that is done."""

    __slots__ = ("_headers", "_job", "_message", "_response", "_status")

    def __init__(
        self, status: int, headers: Headers, message: Message | None, response: Any, job: Job
    ) -> None:
        self._status = status
        self._headers = headers
        self._message = message
        self._response = response
        self._job = job

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        sender, watch = StreamSender(send), Watch(receive)
        try:
            await sender.start(self._status, self._headers)
            if self._message is not None:
                await sender.stop()
                await send(self._message)
                return
            await send_iterated(self._response, watch, sender)
        except ClientGone:
            pass
        finally:
            self.drop()
            watch.end()
            await sender.stop()

    def drop(self) -> None:
        job, response = self._job, self._response
        # The first thread may not have left the context itself yet.
        context = job.context.copy()
        submit(lambda: context.run(finish, response, job.body), job.box)


def finish(response: HttpResponseBase | None, body: IO[bytes]) -> None:
    """Close what a request has opened: files, and by request_finished connections and caches."""
    silent = nobody_hears_end(ThreadedHandler)
    try:
        if response is None:
            tidy_connections()
        elif silent:
            close_silently(response)
            tidy_connections()
        else:
            response.close()
            tidy_connections()
        body.close()
        caches.close(signalled=not silent)
    except Exception:
        logger.exception("closing a response has failed")
