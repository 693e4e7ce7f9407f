"""The contract by which an ASGI application answers a request without a coroutine.

What lives here: both halves of it and the name of the entry.
What must not: an implementation; `http_stream` has the responder, `seaway.http` the application.

A coroutine, its task and the messages of ASGI cost a small response a third of its time. The server
looks for the attribute ``seaway_respond`` of the application, a `Take`. When a request without a
body has come, it calls that on the event loop. If the application returns True, it has taken the
request, and uses the `Responder` exactly once, at once or later. If it returns False, or has no
such attribute, or the request has a body, the application is called as ASGI has it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Protocol

from seaway.protocol.events import Headers
from seaway.server.asgi_types import Application, Scope

ENTRY = "seaway_respond"


class Responder(Protocol):
    """How a request that was taken gets its response. All calls belong on the event loop."""

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole response. Nothing happens if the client has gone."""

    def run(self, app: Application) -> None:
        """Let a coroutine answer after all: ``app(scope, receive, send)``."""

    def fail(self, error: Exception) -> None:
        """What an exception from the application's coroutine does: logged, and a 500."""


Take = Callable[[Scope, Responder], bool]


def take_of(app: Any) -> Take | None:
    """The application's `Take`, if its class has one.

    Looked up without ``__getattr__``: middleware that passes the attributes of what it wraps
    through must not be passed by.
    """
    found = inspect.getattr_static(type(app), ENTRY, None)
    return None if found is None else getattr(app, ENTRY)
