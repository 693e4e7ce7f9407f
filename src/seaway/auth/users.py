"""The user of a scope: finding, logging in and logging out.

What lives here: the functions of the Channels API, each a coroutine that does Django's own work
where other database code of its caller runs.
What must not: when they are called (`middleware`, or the project's consumers).
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from django.apps import apps
from django.contrib import auth
from django.http import HttpRequest

from seaway.auth.visitor import anonymous
from seaway.db import database_sync_to_async

Scope = MutableMapping[str, Any]

_NO_SESSION = "Cannot find session in scope. You should wrap your consumer in SessionMiddleware."
_NO_USER = "User must be passed as an argument or must be present in the scope."


async def get_user(scope: Scope) -> Any:
    """The user whom the scope's session belongs to; ``AnonymousUser`` if nobody.

    Looks into the session as it was loaded, and into the database for the user.

    :raises ValueError: the scope has no session.
    """
    session = _session_of(scope)
    return await database_sync_to_async(find_user)(scope, session)


async def login(scope: Scope, user: Any, backend: str | None = None) -> None:
    """Log a user in: `django.contrib.auth.login` for a scope.

    Puts the user into the scope and into the session, which gets a new key if it was somebody
    else's. After ``websocket.accept`` nobody saves the session but you:
    ``await scope["session"].asave()``. Receivers of ``user_logged_in`` get a request with the
    scope's headers, client and session.

    :param user: None for the user who is in the scope already.
    :raises ValueError: no session in the scope, no user, or several authentication backends and no
        ``backend``.
    """
    session = _session_of(scope)
    if user is None:
        user = scope.get("user")
    if user is None:
        raise ValueError(_NO_USER)
    request = _request_of(scope, session)
    await database_sync_to_async(auth.login)(request, user, backend)
    scope["user"] = user


async def logout(scope: Scope) -> None:
    """Log the scope's user out: empties the session, and the user becomes ``AnonymousUser``.

    :raises ValueError: the scope has no session.
    """
    session = _session_of(scope)
    await database_sync_to_async(_leave)(scope, session)
    if "user" in scope:
        scope["user"] = anonymous()


def _session_of(scope: Scope) -> Any:
    if "session" not in scope:
        raise ValueError(_NO_SESSION)
    return scope["session"]


def find_user(scope: Scope, session: Any) -> Any:
    """`get_user` for synchronous code."""
    if not apps.is_installed("django.contrib.auth"):
        return anonymous()
    kept = session if scope.get("type") == "http" else _SameKey(session)
    return auth.get_user(_request_of(scope, kept))


def _leave(scope: Scope, session: Any) -> None:
    user = scope.get("user")
    if user is not None and user.is_authenticated:
        request = _request_of(scope, session)
        auth.user_logged_out.send(sender=user.__class__, request=request, user=user)
    session.flush()


class _SameKey:
    """A session whose key stays. After a SECRET_KEY was rotated, `get_user` changes it, but a
    WebSocket has no response that could tell the browser; the next HTTP request will."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def __getitem__(self, key: str) -> Any:
        return self._session[key]

    def __setitem__(self, key: str, value: Any) -> None:
        """Of no use without the new key."""

    def cycle_key(self) -> None:
        """See the class."""


def _request_of(scope: Scope, session: Any) -> HttpRequest:
    """As much of a request as receivers of signals and authentication backends look at."""
    request = HttpRequest()
    request.session = session
    request.path = request.path_info = scope.get("path", "")
    request.method = scope.get("method", "GET")
    request.META["REQUEST_METHOD"] = request.method
    if scope.get("client"):
        request.META["REMOTE_ADDR"] = scope["client"][0]
    for name, value in scope.get("headers") or ():
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"
        request.META[key] = value.decode("latin-1")
    if "user" in scope:
        request.user = scope["user"]
    return request
