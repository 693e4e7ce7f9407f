"""A test's end of a WebSocket to an ASGI application.

What lives here: `WebsocketCommunicator`. What must not: sockets (`live` has a server).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

from seaway.testing.application import ApplicationCommunicator, expect, require

Headers = Iterable[tuple[bytes, bytes]]


class WebsocketCommunicator(ApplicationCommunicator):
    """One WebSocket.

    :param path: percent-encoded, with a query string perhaps.
    :param headers: pairs of bytes.
    :param subprotocols: what the client offers.
    :param spec_version: the version of the ASGI specification in the scope.
    :ivar response_headers: of the handshake's response, once it is accepted.
    """

    def __init__(
        self,
        application: Any,
        path: str,
        headers: Headers | None = None,
        subprotocols: list[str] | None = None,
        spec_version: str | None = None,
    ) -> None:
        if not isinstance(path, str):
            raise TypeError(f"Expected str, got {type(path)}")
        target = urlsplit(path)
        scope: dict[str, Any] = {
            "type": "websocket",
            "path": unquote(target.path),
            "query_string": target.query.encode(),
            "headers": list(headers or ()),
            "subprotocols": subprotocols or [],
        }
        if spec_version:
            scope["spec_version"] = spec_version
        super().__init__(application, scope)
        self.response_headers: Any = None

    async def connect(self, timeout: float | None = None) -> tuple[bool, Any]:
        """Open the connection: ``(True, subprotocol)``, or ``(False, close code)`` if refused."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(timeout)
        if answer["type"] == "websocket.close":
            return False, answer.get("code", 1000)
        expect("websocket.accept", answer)
        self.response_headers = answer.get("headers", [])
        return True, answer.get("subprotocol")

    async def send_to(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Send a message: exactly one of the two.

        :raises AssertionError: both or neither, or not of these types.
        """
        one = (text_data is None) != (bytes_data is None)
        require(one, "You must supply exactly one of text_data or bytes_data")
        if text_data is not None:
            require(isinstance(text_data, str), "The text_data argument must be a str")
            await self.send_input({"type": "websocket.receive", "text": text_data})
        else:
            require(isinstance(bytes_data, bytes), "The bytes_data argument must be bytes")
            await self.send_input({"type": "websocket.receive", "bytes": bytes_data})

    async def send_json_to(self, data: Any) -> None:
        """Send something as JSON."""
        await self.send_to(text_data=json.dumps(data))

    async def receive_from(self, timeout: float | None = None) -> Any:
        """The application's next message, str or bytes.

        :raises AssertionError: it did something else instead, such as closing the connection.
        """
        answer = await self.receive_output(timeout)
        expect("websocket.send", answer)
        text, data = answer.get("text"), answer.get("bytes")
        one = (text is None) != (data is None)
        require(one, f"The application has to send exactly one of text and bytes, not {answer!r}")
        if text is not None:
            kind = type(text)
            require(isinstance(text, str), f"Text frame payload is not str, it is {kind}")
            return text
        require(isinstance(data, bytes), f"Binary frame payload is not bytes, it is {type(data)}")
        return data

    async def receive_json_from(self, timeout: float | None = None) -> Any:
        """The application's next message, a text, decoded."""
        payload = await self.receive_from(timeout)
        text = isinstance(payload, str)
        require(text, f"JSON data is not a text frame, it is {type(payload)}")
        return json.loads(payload)

    async def disconnect(self, code: int = 1000, timeout: float | None = None) -> None:
        """Close the connection from the client's side, and wait for the application's end.

        Nothing if the application has ended already.
        """
        if not self.future.done():
            await self.input_queue.put({"type": "websocket.disconnect", "code": code})
        await self.wait(timeout)
