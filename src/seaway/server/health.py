"""Health: what a load balancer asks before it sends somebody here.

What lives here: an ASGI application around another that answers one path by itself.
What must not: checks of databases and the like: a server that is taken out because a database is
slow makes an outage of a delay. Who wants that has Django views.
"""

from __future__ import annotations

from seaway.protocol.events import Headers
from seaway.server.asgi_types import Receive, Scope, Send
from seaway.server.context import Context
from seaway.server.respond import Responder

_READY, _STOPPING = b"ready\n", b"stopping\n"


class Health:
    """Answers ``path``: 200 while this server takes requests, 503 once all of it is stopping.

    A worker that goes because another takes its place (a reload) still answers 200: the server is
    well. No worker answers before its application has started.
    """

    __slots__ = ("_app", "_context", "_path", "_take")

    def __init__(self, context: Context, path: str) -> None:
        self._app = context.app
        self._take = context.take
        self._context = context
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._asked(scope):
            await self._app(scope, receive, send)
            return
        status, headers, body = self._answer(scope)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def seaway_respond(self, scope: Scope, responder: Responder) -> bool:
        """Without a coroutine, and the same for the application behind: see `respond`."""
        if not self._asked(scope):
            return self._take is not None and self._take(scope, responder)
        responder.respond(*self._answer(scope))
        return True

    def _asked(self, scope: Scope) -> bool:
        return bool(scope["type"] == "http" and scope["path"] == scope["root_path"] + self._path)

    def _answer(self, scope: Scope) -> tuple[int, Headers, bytes]:
        status, body = (503, _STOPPING) if self._context.stopping else (200, _READY)
        headers = [
            (b"content-type", b"text/plain"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        return status, headers, b"" if scope["method"] == "HEAD" else body
