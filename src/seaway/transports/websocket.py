"""Topics over WebSocket: from the handshake to a live connection.

What lives here: who may connect (origin), which dialect is spoken (subprotocol), and the handoff.
What must not: anything after that; `seaway.connections` goes on.
"""

from __future__ import annotations

from typing import Any

from seaway.auth import Visitor
from seaway.connections.connection import Connection
from seaway.connections.registry import ConnectionRegistry
from seaway.dialects.base import Dialect
from seaway.dialects.seaway import DIALECT, SUBPROTOCOL
from seaway.exceptions import CloseCode
from seaway.origin import origin_allowed
from seaway.server.handoff import EXTENSION
from seaway.transports.relay import Receive, RelaySink, Send

#: Which dialect a subprotocol means; no subprotocol means Seaway's own.
DIALECTS: dict[str, Dialect] = {SUBPROTOCOL: DIALECT}

_FOREIGN_ORIGIN = (
    b"This origin is not allowed to connect: add its host to ALLOWED_HOSTS, or the origin to "
    b'SEAWAY["ALLOWED_ORIGINS"].\n'
)


async def serve_websocket(
    registry: ConnectionRegistry, scope: dict[str, Any], receive: Receive, send: Send
) -> None:
    """The ASGI application for one WebSocket (ASGI specification, WebSocket 2.5)."""
    await receive()  # websocket.connect
    if not origin_allowed(scope):
        await deny(scope, send, 403, _FOREIGN_ORIGIN)
        return
    offered = scope.get("subprotocols") or []
    spoken = next((name for name in offered if name in DIALECTS), None)
    await send({"type": "websocket.accept", "subprotocol": spoken})
    if offered and spoken is None:
        known = ", ".join(DIALECTS)
        code = CloseCode.UNSUPPORTED_VERSION
        await send(
            {"type": "websocket.close", "code": int(code), "reason": f"speak one of: {known}"}
        )
        return
    dialect = DIALECTS[spoken or SUBPROTOCOL]
    connection = Connection(registry, Visitor.from_scope(scope), dialect)
    handoff = (scope.get("extensions") or {}).get(EXTENSION)
    if handoff is not None:
        connection.start(handoff["take"](connection))
    else:
        sink = RelaySink(connection)
        connection.start(sink)
        await sink.run(receive, send)


async def deny(scope: dict[str, Any], send: Send, status: int, body: bytes) -> None:
    """Refuse a handshake in words where the server can (ASGI ``websocket.http.response``)."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": int(CloseCode.POLICY_VIOLATION)})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
