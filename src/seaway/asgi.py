"""The application: where HTTP, WebSocket and Django meet.

What lives here: `get_asgi_application`, the one name that a project's asgi.py imports, and the
table from ASGI scope type to what serves it.
What must not: how any of them is served.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import django

from seaway.conf import layer_home, seaway_settings
from seaway.connections.registry import ConnectionRegistry, Limits
from seaway.http import get_http_application
from seaway.server.respond import Responder, take_of
from seaway.transports.host import say_what_is_lost
from seaway.transports.relay import Receive, Send
from seaway.transports.websocket import deny, serve_websocket

Scope = dict[str, Any]

#: Seconds that leave hooks and requests under way get when the server shuts down.
DRAIN_SECONDS = 10.0


class Application:
    """An ASGI 3 application: topics on the WebSocket path, Django on everything else."""

    def __init__(self, http: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._http = http
        self._registry: ConnectionRegistry | None = None
        self._introduced = False
        self._serve = {"http": self._serve_http, "websocket": self._serve_websocket}
        self._serve["lifespan"] = self._serve_lifespan
        self._take = take_of(http)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._introduced:
            # The lifespan where there is one, and else the first that is asked for.
            self._introduced = True
            say_what_is_lost(receive, send)
        serve = self._serve.get(scope["type"])
        if serve is None:
            raise ValueError(f"Seaway does not serve ASGI scopes of type {scope['type']!r}.")
        await serve(scope, receive, send)

    def seaway_respond(self, scope: Scope, responder: Responder) -> bool:
        """Seaway's server asks this before it calls us (see `seaway.server.respond`)."""
        return self._take is not None and scope["type"] == "http" and self._take(scope, responder)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._http(scope, receive, send)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = seaway_settings().PATH
        if scope["path"].removeprefix(scope.get("root_path", "")) != path:
            await receive()
            await deny(scope, send, 404, f"WebSocket connections are served at {path}\n".encode())
            return
        await serve_websocket(await self._open_registry(), scope, receive, send)

    async def _serve_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        try:
            registry = await self._open_registry()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        state = scope.get("state")
        if state is not None:
            state["seaway.describe"] = [f"layer: {registry.hub.layer.describe()}"]
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _open_registry(self) -> ConnectionRegistry:
        """The running loop becomes the layer's home. Without lifespan (Daphne), at first use."""
        if self._registry is None:
            home = layer_home()
            await home.adopt()
            settings = seaway_settings()
            limits = Limits(settings.MAX_JOINS, settings.MAX_REQUESTS, settings.PING_SECONDS)
            # Another connection may have come first during the await.
            self._registry = self._registry or ConnectionRegistry(home.hub, limits)
        return self._registry

    async def close(self) -> None:
        """Finish what connections left to do, then leave the layer."""
        registry, self._registry = self._registry, None
        if registry is not None:
            await registry.drain(DRAIN_SECONDS)
            await layer_home().release()


def get_asgi_application() -> Application:
    """The application for a project's ``asgi.py``, instead of Django's function of this name.

    Sets Django up, as Django's does.
    """
    django.setup(set_prefix=False)
    return Application(get_http_application())
