"""One request on its way through the pool, and back to whoever waits for its answer.

What lives here: `Job`, the ways by which a thread hands over what it has made, and `Awaited`, the
responder for a coroutine that waits.
What must not: what a thread does with the request (`threaded`).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from typing import IO, Any, Protocol, cast

from seaway.http.types import Headers, Receive, Scope, Send
from seaway.pool import Mailbox
from seaway.server.asgi_types import Application
from seaway.server.respond import Responder

logger = logging.getLogger("seaway.http")


class Unfinished(Protocol):
    """A response whose body is still to come."""

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all. Raises what the body's maker raised."""

    def drop(self) -> None:
        """Nobody wants it any more: free what it holds."""


class Awaited:
    """A responder for a coroutine: what the thread has made is awaited there, and sent."""

    __slots__ = ("_future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._future: asyncio.Future[Any] = loop.create_future()

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        if not self._future.done():
            self._future.set_result((status, headers, body))

    def run(self, app: Application) -> None:
        if not self._future.done():
            self._future.set_result(app)
        else:
            # A bound method of what is unfinished: see `Job.leave`.
            cast("Unfinished", cast("Any", app).__self__).drop()

    def fail(self, error: Exception) -> None:
        if not self._future.done():
            self._future.set_exception(error)
        else:
            logger.error("a request that nobody waits for has failed", exc_info=error)

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the response and send it."""
        reply = await self._future
        if isinstance(reply, tuple):
            status, headers, content = reply
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": content})
        else:
            await reply(scope, receive, send)


class Job:
    """One request on its way through the pool."""

    __slots__ = ("body", "box", "context", "prefix", "responder", "run", "scope")

    def __init__(
        self,
        run: Callable[[Job], None],
        scope: Scope,
        prefix: str,
        body: IO[bytes],
        box: Mailbox,
        responder: Responder,
    ) -> None:
        self.run = run
        self.scope = scope
        self.prefix = prefix
        self.body = body
        self.box = box
        self.responder = responder
        self.context = contextvars.copy_context()

    def __call__(self) -> None:
        """In the thread. The context is the request's own: nothing stays for the next one."""
        self.context.run(self.run, self)

    def leave(self, rest: Unfinished) -> None:
        """In the thread: leave the sending of the rest to the loop."""
        self.box.post(self.responder.run, rest.send)

    def fail(self, error: BaseException) -> None:
        """In the thread: have the request fail with ``error``."""
        if not isinstance(error, Exception) or isinstance(error, StopIteration):
            # SystemExit would stop the loop, StopIteration cannot pass through a future.
            wrapped = RuntimeError(f"{type(error).__name__} escaped from synchronous code")
            wrapped.__cause__ = error
            error = wrapped
        self.box.post(self.responder.fail, error)
