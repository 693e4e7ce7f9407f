"""ASGI scopes: what an application learns of a request and of its connection.

What lives here: addresses, paths, and the dictionaries built from them (ASGI HTTP and WebSocket,
version 2.5).
What must not: sending and receiving.
"""

from __future__ import annotations

import asyncio
import socket
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from seaway.protocol.events import RequestReceived
from seaway.server.asgi_types import ASGI_VERSIONS, Scope
from seaway.server.scope_types import Peer

if TYPE_CHECKING:
    from seaway.server.carrier import Carrier


def addresses(transport: asyncio.BaseTransport) -> tuple[Peer, Peer]:
    """(client, server) as ASGI wants them: host and port; for Unix sockets None, and the path."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == getattr(socket, "AF_UNIX", None):
        return None, (str(transport.get_extra_info("sockname") or ""), None)
    client = transport.get_extra_info("peername")
    server = transport.get_extra_info("sockname")
    return (
        (str(client[0]), int(client[1])) if client else None,
        (str(server[0]), int(server[1])) if server else None,
    )


def split_target(target: bytes) -> tuple[str, bytes, bytes]:
    """(path, raw path, query string) of a request target (RFC 9112 section 3.2).

    The path is percent-decoded and UTF-8; what is not valid UTF-8 becomes U+FFFD.
    """
    raw_path, _, query = target.partition(b"?")
    if raw_path[:1] != b"/" and b"://" in raw_path:
        # Absolute-form, as sent to proxies: the path follows the authority.
        rest = raw_path.partition(b"://")[2]
        raw_path = b"/" + rest.partition(b"/")[2]
    path = _cached_path(raw_path) if len(raw_path) <= _CACHED_LENGTH else _decode_path(raw_path)
    return path, raw_path, query


def _decode_path(raw_path: bytes) -> str:
    if b"%" in raw_path:
        raw_path = unquote_to_bytes(raw_path)
    return raw_path.decode("utf-8", "replace")


#: Clients ask for the same short paths again and again.
_CACHED_LENGTH = 200
_cached_path = lru_cache(maxsize=1024)(_decode_path)


def http_scope(carrier: Carrier, request: RequestReceived, extensions: dict[str, Any]) -> Scope:
    """The scope of one HTTP request."""
    context, client, secure = carrier.context, carrier.client, carrier.secure
    if context.forwarded is not None:
        client, secure = context.forwarded.resolve(request.headers, client, secure)
    path, raw_path, query = split_target(request.target)
    root_path = context.config.root_path
    if root_path:
        path = root_path + path
    return {
        "type": "http",
        "asgi": ASGI_VERSIONS,
        "http_version": request.version,
        "method": request.method,
        "scheme": "https" if secure else "http",
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": root_path,
        "headers": request.headers,
        "client": client,
        "server": carrier.server,
        "state": context.state.copy(),
        "extensions": extensions,
    }


def websocket_scope(
    carrier: Carrier,
    request: RequestReceived,
    subprotocols: list[str],
    extensions: dict[str, Any],
) -> Scope:
    """The scope of one WebSocket connection."""
    scope = http_scope(carrier, request, extensions)
    del scope["method"]
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    scope["subprotocols"] = subprotocols
    return scope
