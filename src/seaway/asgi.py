"""The application: where HTTP, WebSocket and Django meet.

What lives here: `get_asgi_application`, the one name that a project's asgi.py imports, and the
table from ASGI scope type to what serves it.
What must not: how any of them is served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import django

from seaway.conf import layer_home, seaway_settings
from seaway.connections.registry import ConnectionRegistry, Limits
from seaway.consumers.work import settle
from seaway.http import get_http_application
from seaway.outbox.threads import RelayThreads
from seaway.server.handoff import DRAIN
from seaway.server.respond import Responder, take_of
from seaway.transports.fallback import serve_fallback, served_here
from seaway.transports.host import say_what_is_lost
from seaway.transports.relay import Receive, Send
from seaway.transports.sessions import Sessions
from seaway.transports.websocket import deny, serve_websocket

Scope = dict[str, Any]

#: Seconds that leave hooks and requests under way get when the server shuts down.
DRAIN_SECONDS = 10.0
#: Seconds that the relays of the outbox get to finish what is under way.
RELAY_SECONDS = 3.0


class Application:
    """An ASGI 3 application: topics on the WebSocket path and on some below it, Django on
    everything else."""

    def __init__(self, http: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._http = http
        self._sessions: Sessions | None = None
        self._relays: RelayThreads | None = None
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
        if self._take is None or scope["type"] != "http" or _path_of_ours(scope) is not None:
            return False
        return self._take(scope, responder)

    def seaway_serves_websocket(self, scope: Scope) -> bool:
        """Whether a WebSocket is for topics: a `seaway.routing.ProtocolTypeRouter` asks."""
        return _path(scope) == seaway_settings().PATH

    #: Such a router leaves the lifespan to us.
    seaway_serves_lifespan = True

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path_of_ours(scope)
        if path is None:
            await self._http(scope, receive, send)
        else:
            await serve_fallback(await self._open_sessions(), scope, receive, send, path)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = seaway_settings().PATH
        if _path(scope) != path:
            await receive()
            await deny(scope, send, 404, f"WebSocket connections are served at {path}\n".encode())
            return
        sessions = await self._open_sessions()
        await serve_websocket(sessions.registry, scope, receive, send)

    async def _serve_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        try:
            sessions = await self._open_sessions()
        except Exception as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        state = scope.get("state")
        if state is not None:
            state["seaway.describe"] = [f"layer: {sessions.registry.hub.layer.describe()}"]
            state[DRAIN] = [sessions.drain]
        await send({"type": "lifespan.startup.complete"})
        await receive()  # lifespan.shutdown
        await settle(DRAIN_SECONDS)
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _open_sessions(self) -> Sessions:
        """The running loop becomes the layer's home. Without lifespan (Daphne), at first use."""
        if self._sessions is None:
            home = layer_home()
            await home.adopt()
            settings = seaway_settings()
            limits = Limits(settings.MAX_JOINS, settings.MAX_REQUESTS, settings.PING_SECONDS)
            # Another connection may have come first during the await.
            if self._sessions is None:
                self._sessions = Sessions(ConnectionRegistry(home.hub, limits))
                self._relays = RelayThreads(settings.OUTBOX)
        return self._sessions

    async def close(self) -> None:
        """Finish what connections left to do, then leave the layer."""
        sessions, self._sessions = self._sessions, None
        if sessions is not None:
            if self._relays is not None:
                self._relays.end()
            sessions.drain()
            await sessions.registry.drain(DRAIN_SECONDS)
            await sessions.end()
            if self._relays is not None:
                await asyncio.to_thread(self._relays.join, RELAY_SECONDS)
            await layer_home().release()


def _path_of_ours(scope: Scope) -> str | None:
    """The path below ``PATH``, if topics are served there over plain HTTP; None: it is Django's."""
    path, root = _path(scope), seaway_settings().PATH
    if path.startswith(root) and served_here(path := path.removeprefix(root)):
        return path
    return None


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def get_asgi_application() -> Application:
    """The application for a project's ``asgi.py``, instead of Django's function of this name.

    Sets Django up, as Django's does.
    """
    django.setup(set_prefix=False)
    return Application(get_http_application())
