"""Which application serves a connection: by protocol, by path, by channel name.

What lives here: the routers of the Channels API.
What must not: topics' routes (`seaway.topics`).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern
from django.urls.exceptions import Resolver404
from django.urls.resolvers import RegexPattern, RoutePattern, URLResolver

from seaway.consumers import work
from seaway.middleware import Receive, Scope, Send, pass_on
from seaway.server.respond import Responder, take_of

#: Seconds that consumers get to finish when the server shuts down.
SETTLE_SECONDS = 10.0
#: The application that topics come with has these (see `seaway.asgi.Application`).
_SERVES_WEBSOCKET, _SERVES_LIFESPAN = "seaway_serves_websocket", "seaway_serves_lifespan"


class ProtocolTypeRouter:
    """Chooses by ``scope["type"]``: the root of a project's application.

    :param application_mapping: scope type → ASGI application.

    If the application for ``http`` is that of `seaway.asgi.get_asgi_application`, it also gets the
    lifespan and the WebSockets of topics, at ``SEAWAY["PATH"]``. Lifespan that is in nobody's hands
    is answered here.

    :raises ValueError: when called with a scope of another type.
    """

    def __init__(self, application_mapping: Mapping[str, Any]) -> None:
        self.application_mapping = dict(application_mapping)
        http = self.application_mapping.get("http")
        self._topics = getattr(http, _SERVES_WEBSOCKET, None)
        if "lifespan" not in self.application_mapping and hasattr(http, _SERVES_LIFESPAN):
            self.application_mapping["lifespan"] = http
        self._take = None if http is None else take_of(http)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        kind = scope["type"]
        application = self.application_mapping.get(kind)
        if kind == "websocket" and self._topics is not None and self._topics(scope):
            application = self.application_mapping["http"]
        if application is None:
            if kind == "lifespan":
                return await _serve_lifespan(receive, send)
            raise ValueError(f"No application configured for scope type {kind!r}")
        pass_on(scope, self, application)
        return await application(scope, receive, send)

    def seaway_respond(self, scope: dict[str, Any], responder: Responder) -> bool:
        """Seaway's server asks this before it calls us (see `seaway.server.respond`)."""
        return self._take is not None and scope["type"] == "http" and self._take(scope, responder)


async def _serve_lifespan(receive: Receive, send: Send) -> None:
    await receive()  # lifespan.startup
    await send({"type": "lifespan.startup.complete"})
    await receive()  # lifespan.shutdown
    await work.settle(SETTLE_SECONDS)
    await send({"type": "lifespan.shutdown.complete"})


class _NoRoute(Resolver404):
    """An inner router knows no route: the outer one goes on looking."""


class URLRouter:
    """Chooses by path, with Django's ``path()``, ``re_path()`` and ``include()``; routers may be
    nested.

    The application finds what was captured in ``scope["url_route"]``: ``args``, a tuple, and
    ``kwargs``, a dict; and what is left of the path in ``scope["path_remaining"]``.

    :raises ValueError: when called with a path that no route fits.
    """

    #: A route that leads to a router may fit a path's beginning only.
    _path_routing = True

    def __init__(self, routes: Sequence[URLPattern | URLResolver]) -> None:
        self.routes = [_open_end(route) for route in routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        path = self._path(scope)
        for route in self.routes:
            match = route.pattern.match(path)
            if not match:
                continue
            remaining, args, kwargs = match
            outer = scope.get("url_route", {})
            inner = {
                **scope,
                "path_remaining": remaining,
                "url_route": {
                    "args": (*outer.get("args", ()), *args),
                    "kwargs": {**outer.get("kwargs", {}), **kwargs, **route.default_args},
                },
            }
            via = route.callback
            pass_on(scope, self, via)
            try:
                return await via(inner, receive, send)
            except _NoRoute:
                pass_on(scope, via, self)
        if "path_remaining" in scope:
            raise _NoRoute(f"No route found for path {path!r}.")
        raise ValueError(f"No route found for path {path!r}.")

    @staticmethod
    def _path(scope: Scope) -> str:
        """What is to be matched, without the leading slash, as Django has it."""
        path: str | None = scope.get("path_remaining", scope.get("path"))
        if path is None:
            raise ValueError("No 'path' key in connection scope, cannot route URLs")
        if "path_remaining" not in scope:
            root: str = scope.get("root_path", "")
            if not path.startswith(root):
                raise ValueError(f"No route found for path {path!r}.")
            path = path[len(root) :]
        return path.lstrip("/")


def _open_end(route: URLPattern | URLResolver) -> URLPattern:
    """The route; one that leads to a router no longer asks for the path's end."""
    if isinstance(route, URLResolver):
        # What include() makes: a prefix, and the routes behind it.
        return URLPattern(route.pattern, URLRouter(route.url_patterns), route.default_kwargs)
    if not _routes_on(route.callback):
        return route
    for kind, attribute in _SOURCES.items():
        if isinstance(route.pattern, kind):
            source = str(getattr(route.pattern, attribute))
            opened = kind(source, route.pattern.name, is_endpoint=False)
            return URLPattern(opened, route.callback, route.default_args, route.name)
    raise ValueError(f"Unsupported pattern type: {type(route.pattern)}")


#: Where Django's patterns keep what they were made from.
_SOURCES: dict[type[Any], str] = {RegexPattern: "_regex", RoutePattern: "_route"}


def _routes_on(application: Any) -> bool:
    """Whether a router is behind this application, under middleware perhaps."""
    seen = 0
    while application is not None and seen < _DEEPEST:
        if getattr(application, "_path_routing", False) is True:
            return True
        application = next(
            (
                vars(application)[name]
                for name in _INNER
                if name in getattr(application, "__dict__", ())
            ),
            None,
        )
        seen += 1
    return False


#: What middleware calls the application that it wraps.
_INNER = ("inner", "application", "app")
_DEEPEST = 32


class ChannelNameRouter:
    """Chooses by ``scope["channel"]``, for ``manage.py runworker``.

    :param application_mapping: channel name → ASGI application.
    :raises ValueError: when called with a scope without a channel, or with an unknown one.
    """

    def __init__(self, application_mapping: Mapping[str, Any]) -> None:
        self.application_mapping = application_mapping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if "channel" not in scope:
            raise ValueError(
                "ChannelNameRouter got a scope without a 'channel' key. "
                "Did you make sure it's only being used for 'channel' type messages?"
            )
        application = self.application_mapping.get(scope["channel"])
        if application is None:
            raise ValueError(f"No application configured for channel name {scope['channel']!r}")
        return await application(scope, receive, send)


def get_default_application() -> Any:
    """What ``ASGI_APPLICATION`` in the settings names.

    :raises ImproperlyConfigured: the setting is missing, or names nothing that can be imported.
    """
    name = getattr(settings, "ASGI_APPLICATION", None)
    if not name:
        raise ImproperlyConfigured("ASGI_APPLICATION is not set.")
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError):
        raise ImproperlyConfigured(
            f"Cannot import ASGI_APPLICATION module {module_name!r}"
        ) from None
    try:
        return getattr(module, attribute)
    except AttributeError:
        raise ImproperlyConfigured(
            f"Cannot find {attribute!r} in ASGI_APPLICATION module {module_name}"
        ) from None
