"""The ASGI application: a request comes in, and one of two stacks answers it.

What lives here: `HttpApplication`. What must not: how the stacks work (`threaded`, `on_loop`).
"""

from __future__ import annotations

import io

from seaway.http.body import read_body
from seaway.http.choice import Choice
from seaway.http.on_loop import LoopHandler
from seaway.http.request import script_prefix
from seaway.http.threaded import ThreadedHandler
from seaway.http.types import Receive, Scope, Send
from seaway.server.respond import Responder


class HttpApplication:
    """Django as an ASGI application: sync views in one hop to the pool, async views on the loop.

    The middleware is loaded at once for sync views, and once more when the first async view is
    asked for: a middleware class then has an instance in each stack.
    """

    def __init__(self) -> None:
        self._choice = Choice()
        self._threaded = ThreadedHandler()
        self._on_loop: LoopHandler | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"Django serves http scopes only, not {scope['type']!r}.")
        body = await read_body(receive)
        if body is None:
            return
        prefix = script_prefix(scope)
        if self._choice.is_async(scope["path"].removeprefix(prefix)):
            if self._on_loop is None:
                self._on_loop = LoopHandler()
            await self._on_loop.serve(scope, prefix, body, receive, send)
        else:
            await self._threaded.serve(scope, prefix, body, receive, send)

    def seaway_respond(self, scope: Scope, responder: Responder) -> bool:
        """Take a request without a body if it is for a sync view (see `seaway.server.respond`)."""
        if scope["type"] != "http":
            return False
        prefix = script_prefix(scope)
        if self._choice.is_async(scope["path"].removeprefix(prefix)):
            return False
        self._threaded.take(scope, prefix, io.BytesIO(), responder)
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__}>"
