"""Whether a page of some origin may connect (RFC 6455 section 10.2, RFC 6454).

What lives here: the rule, from ``SEAWAY["ALLOWED_ORIGINS"]``, else Django's ``ALLOWED_HOSTS``.
What must not: users, sessions, answers to a refused client.

A browser sends cookies along with any page's WebSocket handshake; the ``Origin`` header is all that
tells a page of ours from somebody else's. Programs other than browsers send none, and have no
cookies that a stranger could borrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from seaway.conf import seaway_settings

#: What Django allows while DEBUG is on and ALLOWED_HOSTS is empty.
LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def origin_allowed(scope: Mapping[str, Any]) -> bool:
    """Whether the connection of this ASGI scope may go on. Two ``Origin`` headers: no."""
    origins = [value for name, value in scope["headers"] if name == b"origin"]
    if len(origins) > 1:
        return False
    origin = origins[0].decode("latin-1") if origins else None
    return page_allowed(origin, _host(scope))


def request_allowed(scope: Mapping[str, Any]) -> bool:
    """Whether an HTTP request may act for its visitor: what `origin_allowed` is for a WebSocket.

    A browser sends ``Origin`` with every POST and with every request that scripts of another origin
    may read the answer of. Without one, ``Sec-Fetch-Site`` tells whether another site's page is
    behind it (an image, a form), and ``Referer`` where the browser is too old for that. A request
    with none of the three comes from no browser.
    """
    headers: dict[bytes, bytes] = dict(scope["headers"])
    if b"origin" in headers:
        return origin_allowed(scope)
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site in (b"same-origin", b"none")
    referer = headers.get(b"referer")
    if referer is None:
        return True
    return page_allowed(_origin_of(referer.decode("latin-1")), _host(scope))


def page_allowed(origin: str | None, host: str | None) -> bool:
    """Whether a client with this ``Origin`` header may connect to this ``Host``.

    No origin at all (not a browser) is allowed. ``null`` (a sandboxed frame, a local file) is
    allowed by ``"*"`` in ``ALLOWED_ORIGINS`` only.
    """
    if origin is None:
        return True
    allowed = seaway_settings().ALLOWED_ORIGINS
    if allowed is not None and "*" in allowed:
        return True
    parsed = _parse(origin)
    if parsed is None:
        return False
    scheme, hostname, port = parsed
    if allowed is not None:
        return any(_fits(pattern, scheme, hostname, port) for pattern in allowed)
    hosts = settings.ALLOWED_HOSTS
    if settings.DEBUG and not hosts:
        hosts = LOCAL_HOSTS
    if "*" in hosts:
        # "*" says that any Host header will do, not that any page may act for our visitors.
        return host is not None and split_domain_port(host)[0] == hostname
    return validate_host(hostname, hosts)


def entry_problem(entry: str) -> str | None:
    """What is wrong with an entry of ``ALLOWED_ORIGINS``, or None."""
    if entry == "*":
        return None
    if "://" not in entry:
        if "/" in entry or not entry or ":" in entry.rsplit("]", 1)[-1]:
            return "is neither an origin ('https://example.com') nor a host name"
        return None
    if _parse(entry) is None:
        return "is not an origin: write scheme://host or scheme://host:port, without a path"
    return None


def _origin_of(url: str) -> str:
    """The origin of a URL; what is none becomes one that is not allowed."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def _parse(origin: str) -> tuple[str, str, int | None] | None:
    """(scheme, host as ALLOWED_HOSTS spells it, port), or None for what is not an origin."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if not (parts.scheme and parts.hostname) or parts.path or parts.query or parts.fragment:
        return None
    if "@" in parts.netloc:
        return None
    hostname = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return parts.scheme, hostname, DEFAULT_PORTS.get(parts.scheme) if port is None else port


def _fits(pattern: str, scheme: str, hostname: str, port: int | None) -> bool:
    if "://" not in pattern:
        return validate_host(hostname, [pattern.lower()])
    wanted = _parse(pattern)
    if wanted is None or (wanted[0], wanted[2]) != (scheme, port):
        return False
    if wanted[1].startswith("*."):
        return hostname.endswith(wanted[1][1:])
    return wanted[1] == hostname


def _host(scope: Mapping[str, Any]) -> str | None:
    """The host that the client meant, as `HttpRequest.get_host` finds it."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    raw = headers.get(b"x-forwarded-host") if settings.USE_X_FORWARDED_HOST else None
    raw = raw or headers.get(b"host")
    return None if raw is None else raw.decode("latin-1")
