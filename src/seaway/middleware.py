"""Middleware for ASGI applications: what ours share, and a base for a project's own.

What lives here: `BaseMiddleware`, and the chain by which a consumer knows whether it may take its
connection over.
What must not: any particular middleware.

A connection that is handed off outlives the coroutines of its middleware. Ours have nothing left
to do then; others may (a ``finally``, a wrapped ``send``). Each of ours says whom it calls next, so
the consumer knows whether somebody else stands between: then it keeps the coroutine, which costs
some memory and speed, and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from seaway.server.handoff import EXTENSION

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def pass_on(scope: Scope, here: Any, there: Any) -> None:
    """``here`` calls ``there`` next, and has nothing to do after the connection is handed off."""
    handoff = (scope.get("extensions") or {}).get(EXTENSION)
    if handoff is not None and handoff.get("via") is here:
        handoff["via"] = there


def is_ours(thing: Any) -> bool:
    """Whether calling this object runs our code, not a subclass's own."""
    return str(getattr(type(thing).__call__, "__module__", "")).startswith("seaway.")


class BaseMiddleware:
    """Middleware around ``inner``: override ``__call__``, change the scope, call ``super()``.

    The scope that ``super().__call__`` passes on is a copy.

    :cvar ends_at_handoff: set it to True if your ``__call__`` does nothing after the inner
        application has been called, so that connections need no task under Seaway's server.
    """

    ends_at_handoff = False

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        return await self.call_inner(dict(scope), receive, send)

    async def call_inner(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Call the inner application with this very scope."""
        if self.ends_at_handoff or is_ours(self):
            pass_on(scope, self, self.inner)
        return await self.inner(scope, receive, send)
