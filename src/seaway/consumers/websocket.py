"""Consumers of WebSockets: ``connect``, ``receive``, ``disconnect``, in text, bytes or JSON.

What lives here: the generic WebSocket consumers. The synchronous ones have the same few lines
without ``await``, as their names and signatures are the Channels API's; all else is shared.
What must not: groups and order (`run`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from seaway.consumers.consumer import AsyncConsumer, SyncConsumer
from seaway.consumers.layer import Message
from seaway.exceptions import AcceptConnection, DenyConnection, StopConsumer

Headers = Iterable[tuple[bytes, bytes]]


def _accept(subprotocol: str | None, headers: Headers | None) -> Message:
    message: Message = {"type": "websocket.accept", "subprotocol": subprotocol}
    if headers:
        message["headers"] = list(headers)
    return message


def _data(text_data: str | None, bytes_data: bytes | None) -> Message:
    if text_data is not None:
        return {"type": "websocket.send", "text": text_data}
    if bytes_data is not None:
        return {"type": "websocket.send", "bytes": bytes_data}
    raise ValueError("You must pass one of bytes_data or text_data")


def _close(code: int | bool | None, reason: str | None) -> Message:
    message: Message = {"type": "websocket.close"}
    if code is not None and code is not True:
        message["code"] = code
    if reason:
        message["reason"] = reason
    return message


def _received(message: Message) -> dict[str, Any]:
    """What ``receive`` is called with."""
    text = message.get("text")
    if text is not None:
        return {"text_data": text}
    return {"bytes_data": message.get("bytes")}


class AsyncWebsocketConsumer(AsyncConsumer):
    """A WebSocket.

    :cvar groups: joined when the connection is accepted, left when it ends.
    """

    groups: Iterable[str] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if self.groups is None:
            self.groups = []

    async def websocket_connect(self, message: Message) -> None:
        """Handle ``websocket.connect``."""
        try:
            await self.connect()
        except AcceptConnection:
            await self.accept()
        except DenyConnection:
            await self.close()

    async def connect(self) -> None:
        """Decide about the connection: `accept`, or `close` to refuse. Accepts by default."""
        await self.accept()

    async def accept(self, subprotocol: str | None = None, headers: Headers | None = None) -> None:
        """Accept the connection.

        :param subprotocol: one of ``scope["subprotocols"]``.
        :param headers: more headers of the response, as pairs of bytes.
        """
        await super().send(_accept(subprotocol, headers))

    async def websocket_receive(self, message: Message) -> None:
        """Handle ``websocket.receive``."""
        await self.receive(**_received(message))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Called with each message of the client: one of the two."""

    async def send(  # type: ignore[override]  # the Channels API has it so
        self,
        text_data: str | None = None,
        bytes_data: bytes | None = None,
        close: bool | int = False,
    ) -> None:
        """Send a message.

        :param close: close the connection after it; a number is the code.
        :raises ValueError: neither text nor bytes.
        """
        await super().send(_data(text_data, bytes_data))
        if close:
            await self.close(close)

    async def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """Close the connection; before `accept`, refuse it with HTTP status 403."""
        await super().send(_close(code, reason))

    async def websocket_disconnect(self, message: Message) -> None:
        """Handle ``websocket.disconnect``."""
        await self.disconnect(message.get("code", 1005))
        raise StopConsumer

    async def disconnect(self, code: int) -> None:
        """Called once the connection has gone, whoever ended it, and after an exception in another
        method (with 1011) if it was accepted."""


class AsyncJsonWebsocketConsumer(AsyncWebsocketConsumer):
    """A WebSocket that carries JSON in its text messages."""

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """Decode, and call `receive_json`.

        :raises ValueError: a binary message.
        """
        if text_data is None:
            raise ValueError("No text section for incoming WebSocket frame!")
        await self.receive_json(await self.decode_json(text_data), **kwargs)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Called with each message of the client, decoded."""

    async def send_json(self, content: Any, close: bool | int = False) -> None:
        """Encode and send."""
        await super().send(text_data=await self.encode_json(content), close=close)

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        """Override it for another way to decode."""
        return json.loads(text_data)

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        """Override it for another way to encode."""
        return json.dumps(content)


class WebsocketConsumer(SyncConsumer):
    """`AsyncWebsocketConsumer` in plain functions."""

    groups: Iterable[str] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if self.groups is None:
            self.groups = []

    def websocket_connect(self, message: Message) -> None:
        """Handle ``websocket.connect``."""
        try:
            self.connect()
        except AcceptConnection:
            self.accept()
        except DenyConnection:
            self.close()

    def connect(self) -> None:
        """See `AsyncWebsocketConsumer.connect`."""
        self.accept()

    def accept(self, subprotocol: str | None = None, headers: Headers | None = None) -> None:
        """See `AsyncWebsocketConsumer.accept`."""
        super().send(_accept(subprotocol, headers))

    def websocket_receive(self, message: Message) -> None:
        """Handle ``websocket.receive``."""
        self.receive(**_received(message))

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """See `AsyncWebsocketConsumer.receive`."""

    def send(  # type: ignore[override]  # the Channels API has it so
        self,
        text_data: str | None = None,
        bytes_data: bytes | None = None,
        close: bool | int = False,
    ) -> None:
        """See `AsyncWebsocketConsumer.send`."""
        super().send(_data(text_data, bytes_data))
        if close:
            self.close(close)

    def close(self, code: int | bool | None = None, reason: str | None = None) -> None:
        """See `AsyncWebsocketConsumer.close`."""
        super().send(_close(code, reason))

    def websocket_disconnect(self, message: Message) -> None:
        """Handle ``websocket.disconnect``."""
        self.disconnect(message.get("code", 1005))
        raise StopConsumer

    def disconnect(self, code: int) -> None:
        """See `AsyncWebsocketConsumer.disconnect`."""


class JsonWebsocketConsumer(WebsocketConsumer):
    """`AsyncJsonWebsocketConsumer` in plain functions."""

    def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any
    ) -> None:
        """See `AsyncJsonWebsocketConsumer.receive`."""
        if text_data is None:
            raise ValueError("No text section for incoming WebSocket frame!")
        self.receive_json(self.decode_json(text_data), **kwargs)

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        """See `AsyncJsonWebsocketConsumer.receive_json`."""

    def send_json(self, content: Any, close: bool | int = False) -> None:
        """See `AsyncJsonWebsocketConsumer.send_json`."""
        super().send(text_data=self.encode_json(content), close=close)

    @classmethod
    def decode_json(cls, text_data: str) -> Any:
        """Override it for another way to decode."""
        return json.loads(text_data)

    @classmethod
    def encode_json(cls, content: Any) -> str:
        """Override it for another way to encode."""
        return json.dumps(content)
