"""Health: what a load balancer asks before it sends somebody here.

What lives here: an ASGI application around another that answers one path by itself.
What must not: checks of databases and the like: a server that is taken out because a database is
slow makes an outage of a delay. Who wants that has Django views.
"""

from __future__ import annotations

from seaway.server.asgi_types import Application, Receive, Scope, Send
from seaway.server.context import Context

_READY, _STOPPING = b"ready\n", b"stopping\n"


class Health:
    """Answers ``path``: 200 while this server takes requests, 503 once all of it is stopping.

    A worker that goes because another takes its place (a reload) still answers 200: the server is
    well. No worker answers before its application has started.
    """

    __slots__ = ("_app", "_context", "_path")

    def __init__(self, app: Application, context: Context, path: str) -> None:
        self._app = app
        self._context = context
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != scope["root_path"] + self._path:
            await self._app(scope, receive, send)
            return
        stopping = self._context.stopping
        body = _STOPPING if stopping else _READY
        headers = [
            (b"content-type", b"text/plain"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        status = 503 if stopping else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )
