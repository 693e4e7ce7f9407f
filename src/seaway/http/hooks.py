"""Which hooks of Django's own middleware do no I/O, so that the loop may call them without a hop.

What lives here: the table, what replaces Django's ``sync_to_async`` around those hooks, and what
replaces its calls around them in threads.
What must not: anybody else's middleware. A subclass of Django's is somebody else's.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.exception import response_for_exception
from django.http import HttpRequest
from django.http.response import HttpResponseBase

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def _always(*_: Any) -> bool:
    return True


def _never(*_: Any) -> bool:
    return False


class Hooks(NamedTuple):
    """Says of each hook whether this call of it does no I/O."""

    request: Callable[[HttpRequest], bool] = _always
    view: Callable[[HttpRequest, Any], bool] = _never
    response: Callable[[HttpRequest, HttpResponseBase], bool] = _always


def _csrf_in_cookie(*_: Any) -> bool:
    return not settings.CSRF_USE_SESSIONS


def _csrf_view(request: HttpRequest, callback: Any) -> bool:
    """Whether nothing can be refused: a refusal is a view of the project's, and reads templates."""
    return _csrf_in_cookie() and (
        request.method in _SAFE_METHODS or getattr(callback, "csrf_exempt", False)
    )


def _session_request(_request: HttpRequest) -> bool:
    """Django's own session stores touch nothing when they are made."""
    return str(settings.SESSION_ENGINE).startswith("django.contrib.sessions.backends.")


def _session_response(request: HttpRequest, _response: HttpResponseBase) -> bool:
    """Whether nothing is to be saved."""
    session: Any = getattr(request, "session", None)
    if session is None or session.is_empty():
        return True
    return not (session.modified or settings.SESSION_SAVE_EVERY_REQUEST)


def _messages_storage(_request: HttpRequest) -> bool:
    return str(settings.MESSAGE_STORAGE).startswith("django.contrib.messages.storage.")


def _messages_response(request: HttpRequest, _response: HttpResponseBase) -> bool:
    """Whether no message was read or added."""
    storage: Any = getattr(request, "_messages", None)
    return storage is None or not (storage.used or storage.added_new)


#: By full name: importing some of these modules takes an installed app.
_HOOKS = {
    "django.middleware.security.SecurityMiddleware": Hooks(),
    "django.middleware.common.CommonMiddleware": Hooks(),
    "django.middleware.locale.LocaleMiddleware": Hooks(),
    "django.middleware.clickjacking.XFrameOptionsMiddleware": Hooks(),
    "django.middleware.csp.ContentSecurityPolicyMiddleware": Hooks(),
    "django.middleware.http.ConditionalGetMiddleware": Hooks(),
    "django.middleware.csrf.CsrfViewMiddleware": Hooks(
        _csrf_in_cookie, _csrf_view, _csrf_in_cookie
    ),
    "django.contrib.sessions.middleware.SessionMiddleware": Hooks(
        _session_request, response=_session_response
    ),
    "django.contrib.auth.middleware.AuthenticationMiddleware": Hooks(),
    "django.contrib.messages.middleware.MessageMiddleware": Hooks(
        _messages_storage, response=_messages_response
    ),
}


def hooks_of(thing: object) -> Hooks | None:
    """The table's entry for an instance of exactly one of these classes."""
    kind = type(thing)
    return _HOOKS.get(f"{kind.__module__}.{kind.__qualname__}")


def quicken(middleware: Any) -> None:
    """Make a middleware that runs asynchronously call its hooks directly where it may."""
    hooks = hooks_of(middleware)
    if hooks is not None and middleware.async_mode:
        # MiddlewareMixin.__call__ looks this up on the instance.
        middleware.__acall__ = functools.partial(_call, middleware, hooks)


async def _call(middleware: Any, hooks: Hooks, request: HttpRequest) -> HttpResponseBase:
    """What MiddlewareMixin.__acall__ does, with fewer hops."""
    response = None
    process: Any = getattr(middleware, "process_request", None)
    if process is not None:
        if hooks.request(request):
            response = process(request)
        else:
            response = await sync_to_async(process, thread_sensitive=True)(request)
    response = response or await middleware.get_response(request)
    process = getattr(middleware, "process_response", None)
    if process is not None:
        if hooks.response(request, response):
            response = process(request, response)
        else:
            response = await sync_to_async(process, thread_sensitive=True)(request, response)
    return response  # type: ignore[no-any-return]  # whatever the hooks returned


def fused(middleware: Any) -> Callable[[HttpRequest], HttpResponseBase] | None:
    """One function that does what two of Django's do around each middleware's hooks in a
    synchronous stack: ``MiddlewareMixin.__call__`` and ``convert_exception_to_response``.

    None for a middleware that is not in the table. Seven layers of two calls with their look-ups
    are a twentieth of a small request's time.
    """
    if hooks_of(middleware) is None or middleware.async_mode:
        return None
    get_response = middleware.get_response
    before, after = (hasattr(middleware, f"process_{name}") for name in ("request", "response"))

    def handle(request: HttpRequest) -> HttpResponseBase:
        try:
            response = middleware.process_request(request) if before else None
            response = response or get_response(request)
            if after:
                response = middleware.process_response(request, response)
        except Exception as error:  # noqa: BLE001 - as Django has it: whatever a layer raises
            response = response_for_exception(request, error)
        return response

    return handle


def view_hook(process_view: Any) -> Callable[..., Awaitable[HttpResponseBase | None]] | None:
    """What to call instead of a middleware's process_view; None where Django's way is right."""
    hooks = hooks_of(getattr(process_view, "__self__", None))
    if hooks is None or getattr(process_view, "__name__", "") != "process_view":
        return None

    async def process(
        request: HttpRequest, callback: Any, args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        response: HttpResponseBase | None
        if hooks.view(request, callback):
            response = process_view(request, callback, args, kwargs)
        else:
            hop = sync_to_async(process_view, thread_sensitive=True)
            response = await hop(request, callback, args, kwargs)
        return response

    return process
