"""Forwarded headers: what trusted proxies say of the client of a request.

What lives here: X-Forwarded-For and -Proto, and RFC 7239's Forwarded, read from the right, up to
the first address that no trusted proxy vouches for.
What must not: the PROXY protocol, which is about connections (`acceptor`).

The host is left alone: Django has USE_X_FORWARDED_HOST for it, and checks ALLOWED_HOSTS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from seaway.protocol.events import Headers
from seaway.server.config import ServerConfig
from seaway.server.networks import Networks, parse_address
from seaway.server.scope_types import Peer

#: Proxies in a row that are looked at: nobody has more, and a long list is somebody's attempt.
_MOST = 32
_SCHEMES = {"http": False, "ws": False, "https": True, "wss": True}

#: RFC 7239 section 4: ``token = token / quoted-string``, pairs by ";", proxies by ",".
_PAIR = re.compile(
    r'[ \t]*(?:(?P<name>[!#-\'*+.^-z|~\w-]+)=(?P<value>"(?:[^"\\]|\\.)*"|[^\s";,]*))?'
    r"[ \t]*(?P<end>[;,]|$)"
)

#: One proxy's word: the address that it has heard from, and whether that was over TLS.
Hop = tuple[str, bool | None]


class Forwarded:
    """Reads the one kind of header that the server is told to believe."""

    __slots__ = ("_hops", "_trusted")

    def __init__(self, config: ServerConfig, trusted: Networks) -> None:
        self._hops = _x_forwarded if config.forwarded == "x-forwarded" else _rfc7239
        self._trusted = trusted

    def resolve(self, headers: Headers, client: Peer, secure: bool) -> tuple[Peer, bool]:
        """(client, secure) of a request from ``client``, whose own word counts if it is trusted.

        A header that is not well formed says nothing: what the socket knows stays.
        """
        has = self._trusted.has
        if not has(client[0] if client else None):
            return client, secure
        for host, tls in self._hops(headers):
            address = parse_address(host)
            if address is None:
                # "unknown", an obfuscated name (RFC 7239 section 6.3): nobody further is known.
                return client, secure if tls is None else tls
            client, secure = (str(address), 0), secure if tls is None else tls
            if not has(client[0]):
                break
        return client, secure


def _values(headers: Headers, name: bytes) -> str:
    """All fields of a name as one (RFC 9110 section 5.3)."""
    return ",".join([value.decode("latin-1") for key, value in headers if key == name])


def _x_forwarded(headers: Headers) -> Iterator[Hop]:
    """The nearest hop first. A single protocol is the client's; else there is one for each hop."""
    clients = _values(headers, b"x-forwarded-for").split(",")[-_MOST:]
    protocols = [
        _SCHEMES.get(text.strip().lower())
        for text in _values(headers, b"x-forwarded-proto").split(",")
    ]
    one_each = len(protocols) == len(clients)
    if not one_each:
        # The nearest proxy's word, which a client cannot forge: it adds its own behind what came.
        protocols = [protocols[-1]] * len(clients)
    for text, tls in zip(reversed(clients), reversed(protocols), strict=True):
        yield _without_port(text.strip()), tls


def _rfc7239(headers: Headers) -> Iterator[Hop]:
    hops = _parse(_values(headers, b"forwarded"))
    for pairs in reversed(hops[-_MOST:]):
        yield _without_port(pairs.get("for", "")), _SCHEMES.get(pairs.get("proto", "").lower())


def _parse(text: str) -> list[dict[str, str]]:
    """RFC 7239 section 4; empty for what is not of that grammar."""
    hops: list[dict[str, str]] = []
    pairs: dict[str, str] = {}
    at = 0
    while at <= len(text):
        found = _PAIR.match(text, at)
        if found is None:
            return []
        name, value, end = found["name"], found["value"], found["end"]
        if name is not None:
            if name.lower() in pairs:
                return []
            pairs[name.lower()] = _unquoted(value)
        if end != ";":
            if pairs:
                hops.append(pairs)
            pairs = {}
            if not end:
                return hops
        at = found.end()
    return hops


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value[:1] == '"' else value


def _without_port(text: str) -> str:
    """``192.0.2.1:80``, ``[2001:db8::1]:80`` and ``[2001:db8::1]`` without port and brackets."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
