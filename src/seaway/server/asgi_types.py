"""What ASGI calls things: the types of an application and its two channels.

What lives here: type names, the versions we speak, and the error that `send` raises once the
client is gone. What must not: behaviour.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = dict[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

#: Shared by all scopes. Version 2.4 is the first where ``send`` raises once the client is gone,
#: 2.5 the first where a disconnect carries a reason.
ASGI_VERSIONS = {"version": "3.0", "spec_version": "2.5"}
LIFESPAN_VERSIONS = {"version": "3.0", "spec_version": "2.0"}


class ClientDisconnected(OSError):
    """Raised by ``send`` once the client is gone (ASGI HTTP and WebSocket, version 2.4)."""

    def __init__(self) -> None:
        super().__init__("The client has disconnected.")
