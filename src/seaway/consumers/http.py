"""A consumer of HTTP requests: long polling and streams by hand.

What lives here: `AsyncHttpConsumer`.
What must not: Django's views (`seaway.http`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seaway.consumers.consumer import AsyncConsumer
from seaway.consumers.layer import Message
from seaway.exceptions import StopConsumer

Headers = Iterable[tuple[bytes, bytes]] | Mapping[bytes, bytes]


class AsyncHttpConsumer(AsyncConsumer):
    """One HTTP request: override `handle`. Lasts until the response's last body is sent."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.body: list[bytes] = []
        self._answered = False
        self._told = False

    async def handle(self, body: bytes) -> None:
        """Answer the request, whose whole body this is."""
        raise NotImplementedError("Subclasses of AsyncHttpConsumer must provide a handle() method.")

    async def send_headers(self, *, status: int = 200, headers: Headers | None = None) -> None:
        """Begin the response; `send_body` has to follow.

        :param headers: pairs of bytes, or a mapping.
        """
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers or ())
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})

    async def send_body(self, body: bytes, *, more_body: bool = False) -> None:
        """Send a part of the body, the last one unless ``more_body``."""
        if not isinstance(body, bytes):
            raise TypeError("Body is not bytes")
        await self.send({"type": "http.response.body", "body": body, "more_body": more_body})
        self._answered = not more_body

    async def send_response(self, status: int, body: bytes, **kwargs: Any) -> None:
        """Send a whole response; ``kwargs`` are those of `send_headers`."""
        await self.send_headers(status=status, **kwargs)
        await self.send_body(body)

    async def disconnect(self) -> None:
        """Called once at the end: the response is complete, `handle` has failed, or the client has
        gone."""

    async def dispatch(self, message: Message) -> None:
        """See `AsyncConsumer.dispatch`. Ends once the response is complete."""
        try:
            await super().dispatch(message)
        except StopConsumer:
            raise
        except BaseException:
            await self._tell()
            raise
        if self._answered:
            await self._tell()
            raise StopConsumer

    async def http_request(self, message: Message) -> None:
        """Handle ``http.request``: a part of the request's body."""
        self.body.append(message.get("body", b""))
        if not message.get("more_body"):
            await self.handle(b"".join(self.body))

    async def http_disconnect(self, message: Message) -> None:
        """Handle ``http.disconnect``."""
        await self._tell()
        raise StopConsumer

    async def _tell(self) -> None:
        if not self._told:
            self._told = True
            await self.disconnect()
