"""Cookies and sessions in the scope.

What lives here: `CookieMiddleware` and `SessionMiddleware`.
What must not: users (`seaway.auth`).
"""

from __future__ import annotations

import datetime as dt
import importlib
import time
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.core.exceptions import SuspiciousOperation
from django.http import HttpResponse, parse_cookie
from django.utils.http import http_date

from seaway.middleware import BaseMiddleware, Receive, Scope, Send
from seaway.pool import run_in_pool

_SAME_SITE = ("strict", "lax", "none")


class WrongSameSite(ValueError, AssertionError):
    """What Django calls a ValueError and Channels an AssertionError."""


class CookieMiddleware(BaseMiddleware):
    """Puts the cookies into ``scope["cookies"]``, a dict of strings.

    :raises ValueError: the scope has no headers; such a protocol has no cookies.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if "headers" not in scope:
            raise ValueError(
                "CookieMiddleware was passed a scope that did not have a headers key "
                "(make sure it is only passed HTTP or WebSocket connections)"
            )
        header = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
        cookies = parse_cookie(header.decode("latin-1"))
        return await self.call_inner({**scope, "cookies": cookies}, receive, send)

    @classmethod
    def set_cookie(
        cls,
        message: dict[str, Any],
        key: str,
        value: str = "",
        max_age: int | dt.timedelta | None = None,
        expires: str | dt.datetime | None = None,
        path: str = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = "lax",
    ) -> None:
        """Add a ``Set-Cookie`` header to an ASGI message: `HttpResponse.set_cookie`.

        :param message: ``http.response.start`` or ``websocket.accept``.
        """
        if samesite is not None and samesite.lower() not in _SAME_SITE:
            raise WrongSameSite("samesite must be 'strict', 'lax' or 'none'.")
        response = HttpResponse()
        response.set_cookie(
            key,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,  # type: ignore[arg-type]  # looked at in lower case above
        )
        _add_cookies(message, response)

    @classmethod
    def delete_cookie(
        cls, message: dict[str, Any], key: str, path: str = "/", domain: str | None = None
    ) -> None:
        """Add a header that makes the browser forget a cookie: `HttpResponse.delete_cookie`."""
        response = HttpResponse()
        response.delete_cookie(key, path=path, domain=domain)
        _add_cookies(message, response)


def _add_cookies(message: dict[str, Any], response: HttpResponse) -> None:
    cookies = [morsel.OutputString().encode("latin-1") for morsel in response.cookies.values()]
    added = [(b"Set-Cookie", cookie) for cookie in cookies]
    message["headers"] = [*message.get("headers", ()), *added]


class SessionMiddleware(BaseMiddleware):
    """Puts the session into ``scope["session"]``; needs `CookieMiddleware` around it.

    An HTTP response saves a changed session and sets its cookie, as Django's middleware does. A
    WebSocket never saves by itself: ``await scope["session"].asave()``. The session is loaded at
    the first use of it.
    """

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.cookie_name = settings.SESSION_COOKIE_NAME
        self.session_store: type[SessionBase] = importlib.import_module(
            settings.SESSION_ENGINE
        ).SessionStore

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if "cookies" not in scope:
            raise ValueError(
                "No cookies in scope - SessionMiddleware needs to run inside of CookieMiddleware."
            )
        scope = dict(scope)
        session = scope["session"] = self.session_store(scope["cookies"].get(self.cookie_name))
        if scope["type"] != "http":
            return await self.call_inner(scope, receive, send)

        async def send_and_save(message: Any) -> None:
            if message["type"] == "http.response.start" and message.get("status", 200) != 500:
                message = dict(message)
                await self._finish(scope, message, session)
            await send(message)

        return await self.call_inner(scope, receive, send_and_save)

    async def _finish(self, scope: Scope, message: dict[str, Any], session: Any) -> None:
        """What `django.contrib.sessions.middleware` does with a response."""
        if session.is_empty():
            if self.cookie_name in scope["cookies"]:
                CookieMiddleware.delete_cookie(
                    message,
                    self.cookie_name,
                    path=settings.SESSION_COOKIE_PATH,
                    domain=settings.SESSION_COOKIE_DOMAIN,
                )
            return
        if not (session.modified or settings.SESSION_SAVE_EVERY_REQUEST):
            return
        max_age, expires = await run_in_pool(_save, session)
        CookieMiddleware.set_cookie(
            message,
            self.cookie_name,
            session.session_key,
            max_age=max_age,
            expires=expires,
            domain=settings.SESSION_COOKIE_DOMAIN,
            path=settings.SESSION_COOKIE_PATH,
            secure=bool(settings.SESSION_COOKIE_SECURE),
            httponly=bool(settings.SESSION_COOKIE_HTTPONLY),
            samesite=settings.SESSION_COOKIE_SAMESITE or None,
        )


def _save(session: Any) -> tuple[int | None, str | None]:
    """Save a session; its cookie's ``Max-Age`` and ``Expires``."""
    try:
        session.save()
    except UpdateError:
        raise SuspiciousOperation(
            "The request's session was deleted before the request completed. The user may have "
            "logged out in a concurrent request, for example."
        ) from None
    if session.get_expire_at_browser_close():
        return None, None
    max_age = session.get_expiry_age()
    return max_age, http_date(time.time() + max_age)


def SessionMiddlewareStack(inner: Any) -> CookieMiddleware:  # noqa: N802 - the Channels API has it
    """Cookies and session around an application."""
    return CookieMiddleware(SessionMiddleware(inner))
