"""Who may open a WebSocket: by the origin of the page that opens it.

What lives here: `OriginValidator`, `AllowedHostsOriginValidator`, `WebsocketDenier` (Channels API).
What must not: the rule for topics (`seaway.origin`), which allows programs that send no origin.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import ParseResult, urlparse

from django.conf import settings
from django.utils.http import is_same_domain

from seaway.consumers import AsyncWebsocketConsumer
from seaway.middleware import Receive, Scope, Send, is_ours, pass_on
from seaway.origin import DEFAULT_PORTS

#: What Django allows while DEBUG is on and ALLOWED_HOSTS is empty.
_LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]


class WebsocketDenier(AsyncWebsocketConsumer):
    """Refuses every connection."""

    async def connect(self) -> None:
        await self.close()


class OriginValidator:
    """Lets those WebSockets through that pages of allowed origins open; refuses the others.

    :param allowed_origins: hosts (``example.com``, ``.example.com`` with its subdomains), origins
        (``https://example.com:443``; without a port, its scheme's), or ``*``. Without ``*`` a
        connection without an ``Origin`` header, which no browser makes, is refused.
    """

    def __init__(self, application: Any, allowed_origins: Iterable[str]) -> None:
        self.application = application
        self.allowed_origins = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "websocket":
            raise ValueError("You cannot use OriginValidator on a non-WebSocket connection")
        inner = self.application if self.valid_origin(self._origin_of(scope)) else WebsocketDenier()
        if is_ours(self):
            pass_on(scope, self, inner)
        return await inner(scope, receive, send)

    @staticmethod
    def _origin_of(scope: Scope) -> ParseResult | None:
        origin = None
        for name, value in scope.get("headers", ()):
            if name == b"origin":
                # What cannot be parsed is no page's origin.
                try:
                    origin = urlparse(value.decode("latin-1"))
                    _ = origin.hostname, origin.port
                except ValueError:
                    return None
        return origin

    def valid_origin(self, parsed_origin: ParseResult | None) -> bool:
        """Whether a connection from a page of this origin may go on."""
        if parsed_origin is None:
            return "*" in self.allowed_origins
        return any(
            pattern == "*" or _fits(parsed_origin, pattern) for pattern in self.allowed_origins
        )


def _fits(origin: ParseResult, pattern: str) -> bool:
    host = origin.hostname
    if host is None:
        return False
    host = f"[{host}]" if ":" in host else host
    pattern = pattern.lower()
    if "://" not in pattern:
        return bool(is_same_domain(host, pattern.partition("/")[0]))
    wanted = urlparse(pattern)
    if wanted.hostname is None or wanted.scheme != origin.scheme:
        return False
    ports = [each.port or DEFAULT_PORTS.get(each.scheme) for each in (wanted, origin)]
    wanted_host = f"[{wanted.hostname}]" if ":" in wanted.hostname else wanted.hostname
    return ports[0] == ports[1] and bool(is_same_domain(host, wanted_host))


def AllowedHostsOriginValidator(application: Any) -> OriginValidator:  # noqa: N802 - Channels' name
    """`OriginValidator` with ``ALLOWED_HOSTS``; if it is empty and DEBUG on, with our own names."""
    allowed = settings.ALLOWED_HOSTS
    if settings.DEBUG and not allowed:
        allowed = _LOCAL_HOSTS
    return OriginValidator(application, allowed)
