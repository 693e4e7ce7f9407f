"""The paths below ``PATH`` that are not WebSockets: which of them serves a request.

What lives here: the table from path to transport, and what all of them have in common.
What must not: the transports themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from seaway.transports.http import Scope, answer_preflight, refusing
from seaway.transports.polling import serve_poll
from seaway.transports.publish import serve_publish
from seaway.transports.relay import Receive, Send
from seaway.transports.sessions import Sessions
from seaway.transports.sse import serve_send, serve_stream
from seaway.transports.topic_stream import serve_topic

Serve = Callable[[Sessions, Scope, Receive, Send], Awaitable[None]]

#: What a browser's page may ask for: path → (method, what serves it).
_PATHS: dict[str, tuple[str, Serve]] = {
    "sse": ("GET", serve_stream),
    "send": ("POST", serve_send),
    "poll": ("POST", serve_poll),
}
_PUBLISH = "publish"
_TOPICS = "topics/"


def served_here(path: str) -> bool:
    """Whether a path, relative to ``PATH``, is one of ours."""
    return path in _PATHS or path == _PUBLISH or (path.startswith(_TOPICS) and path != _TOPICS)


async def serve_fallback(
    sessions: Sessions, scope: Scope, receive: Receive, send: Send, path: str
) -> None:
    """Serve a request whose path is `served_here`."""
    async with refusing(scope, send):
        if path == _PUBLISH:
            await serve_publish(scope, receive, send)
            return
        method, serve = _PATHS.get(path, ("GET", None))
        if scope["method"] == "OPTIONS":
            await answer_preflight(scope, send, method)
        elif serve is not None:
            await serve(sessions, scope, receive, send)
        else:
            await serve_topic(sessions, scope, receive, send, path.removeprefix(_TOPICS))
