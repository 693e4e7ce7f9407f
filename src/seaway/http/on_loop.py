"""The asynchronous stack: Django's, without the hops that are not needed.

What lives here: `LoopHandler`. What must not: which middleware may be called directly (`hooks`),
watching for the client (`watch`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import IO, Any

from asgiref.sync import sync_to_async
from django.core.cache import caches as djangos_caches
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished, request_started
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

from seaway import pool
from seaway.http import caches
from seaway.http.hooks import quicken, view_hook
from seaway.http.request import make_request
from seaway.http.response import StreamSender, file_message, has_content, head
from seaway.http.sending import send_iterated, send_streamed
from seaway.http.signals import close_silently, nobody_hears_end, nobody_hears_start
from seaway.http.stream import Stream
from seaway.http.types import Receive, Scope, Send
from seaway.http.watch import ClientGone, Watch

logger = logging.getLogger("seaway.http")


class LoopHandler(ASGIHandler):
    """Django's handler, its asynchronous middleware chain loaded."""

    def adapt_method_mode(
        self,
        is_async: bool,
        method: Any,
        method_is_async: bool | None = None,
        debug: bool = False,
        name: str | None = None,
    ) -> Any:
        if is_async:
            # load_middleware passes each middleware, wrapped, when it builds the next.
            quicken(getattr(method, "__wrapped__", None))
            direct = view_hook(method)
            if direct is not None:
                return direct
        return super().adapt_method_mode(is_async, method, method_is_async, debug, name)

    async def serve(
        self, scope: Scope, prefix: str, body: IO[bytes], receive: Receive, send: Send
    ) -> None:
        """Answer one request."""
        lease = pool.lease()
        with lease if lease is not None else contextlib.nullcontext():
            set_script_prefix(prefix)
            watch = Watch(receive)
            response: HttpResponseBase | None = None
            try:
                if not nobody_hears_start(type(self)):
                    await request_started.asend(sender=type(self), scope=scope)
                request, response = make_request(scope, body, prefix)
                if request is not None:
                    response = await watch.run(self._respond(request))
                assert response is not None  # noqa: S101 - for the type checker
                await self._send(response, scope, watch, send, lease)
            except ClientGone:
                pass
            finally:
                watch.end()
                await self._finish(response, body, lease)

    async def _respond(self, request: HttpRequest) -> HttpResponseBase:
        return await self.run_get_response(request)

    async def _send(
        self,
        response: Any,
        scope: Scope,
        watch: Watch,
        send: Send,
        lease: pool.Lease | None,
    ) -> None:
        status, headers = head(response)
        if not response.streaming or not has_content(response, scope["method"]):
            whole = not response.streaming and has_content(response, "")
            content = response.content if whole else b""
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": content})
            return
        sender = StreamSender(send)
        try:
            if response.is_async:
                if lease is not None:
                    # A stream may last for hours; what the view used is done with.
                    lease.renew()
                await sender.start(status, headers)
                await send_iterated(response, watch, sender)
                return
            message = await sync_to_async(file_message)(response, scope)
            await sender.start(status, headers)
            if message is not None:
                await sender.stop()
                await send(message)
            else:
                await _send_from_thread(response, watch, sender)
        finally:
            await sender.stop()

    async def _finish(
        self, response: HttpResponseBase | None, body: IO[bytes], lease: pool.Lease | None
    ) -> None:
        try:
            if self._nothing_to_close(response, lease):
                if response is not None:
                    close_silently(response)
            elif response is not None:
                await sync_to_async(response.close, thread_sensitive=True)()
            else:
                await request_finished.asend(sender=type(self))
            body.close()
        except Exception:
            logger.exception("closing a response has failed")

    def _nothing_to_close(
        self, response: HttpResponseBase | None, lease: pool.Lease | None
    ) -> bool:
        """Whether the end of the request is a matter of memory only. On the loop Django's own
        receivers have nothing to do: the connections are in the lease's thread, which looks after
        them, the URLconf is in the context."""
        return (
            lease is not None
            and not lease.taken
            and nobody_hears_end(type(self))
            and not (caches.aliases() and djangos_caches.all(initialized_only=True))
            and _closes_in_memory(response)
        )


async def _send_from_thread(response: Any, watch: Watch, sender: StreamSender) -> None:
    """Send what a synchronous iterator yields in the request's own thread."""
    stream = Stream(pool.mailbox())
    filling = asyncio.ensure_future(sync_to_async(stream.fill)(response.streaming_content))
    try:
        await send_streamed(stream, watch, sender)
    finally:
        await filling


def _closes_in_memory(response: Any) -> bool:
    """Whether closing the response touches no file and no code of the project's."""
    if response is None:
        return True
    if response.streaming or type(response).close is not HttpResponseBase.close:
        return False
    for closer in response._resource_closers:
        request = getattr(closer, "__self__", None)
        if not isinstance(request, HttpRequest) or hasattr(request, "_files"):
            return False
    return True
