"""Who is connecting: the session cookie, and the session and user that it leads to.

What lives here: `Visitor`, which keeps no more than the session's key, and loads the rest each time
that it is asked, so that a log-out or an expired session takes effect at once.
What must not: permissions; those are the topics' own.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, parse_cookie


class Identity(NamedTuple):
    """What a visitor's session leads to at this moment."""

    user: Any
    session: SessionBase | None


class Nobody:
    """Stands in for ``AnonymousUser`` in a project without ``django.contrib.auth``."""

    __slots__ = ()

    pk = id = None
    username = ""
    is_active = is_staff = is_superuser = is_authenticated = False
    is_anonymous = True

    def __str__(self) -> str:
        return "Nobody"


class Visitor:
    """The holder of a session cookie, or somebody without one.

    :param session_key: the cookie's value, as yet believed without a look into the database.
    """

    __slots__ = ("session_key",)

    def __init__(self, session_key: str | None = None) -> None:
        self.session_key = session_key or None

    @classmethod
    def from_scope(cls, scope: Mapping[str, Any]) -> Visitor:
        """Read the session cookie of an ASGI scope; touches no database."""
        cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
        key = parse_cookie(cookies.decode("latin-1")).get(settings.SESSION_COOKIE_NAME)
        return cls(key)

    @property
    def known(self) -> bool:
        """Whether there is a session to load: without one, `identify` does no I/O."""
        return self.session_key is not None and sessions_available()

    def identify(self) -> Identity:
        """Load session and user as a request would, by session engine and backend. Synchronous."""
        if not sessions_available():
            return Identity(anonymous(), None)
        session = _store_class()(self.session_key)
        if self.session_key is None:
            return Identity(anonymous(), session)
        if not apps.is_installed("django.contrib.auth"):
            session.keys()
            return Identity(anonymous(), session)
        from django.contrib.auth import get_user

        request = HttpRequest()
        request.session = session
        return Identity(get_user(request), session)

    def load_user(self) -> Any:
        """The user; ``AnonymousUser`` without a cookie, session or installed auth. Synchronous."""
        return self.identify().user


def anonymous() -> Any:
    """``AnonymousUser()``, or `Nobody` where the app that has it is not installed."""
    if not apps.is_installed("django.contrib.auth"):
        return Nobody()
    from django.contrib.auth.models import AnonymousUser

    return AnonymousUser()


def sessions_available() -> bool:
    """Whether the configured engine can run: those in the database need their app's table."""
    if apps.is_installed("django.contrib.sessions"):
        return True
    return not settings.SESSION_ENGINE.endswith("db")


@functools.cache
def _store_class_of(engine: str) -> type[SessionBase]:
    base: type[SessionBase] = importlib.import_module(engine).SessionStore

    def cycle_key(self: SessionBase) -> None:
        """Keep the key. `get_user` changes it after a SECRET_KEY was rotated, but a connection
        has no response that could tell the browser; the next HTTP request will."""

    return type("SessionStore", (base,), {"cycle_key": cycle_key})


def _store_class() -> type[SessionBase]:
    return _store_class_of(settings.SESSION_ENGINE)
