"""Names for what ASGI hands around. What must not live here: behaviour."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
#: Name and value pairs, as ``http.response.start`` has them.
Headers = list[tuple[bytes, bytes]]
