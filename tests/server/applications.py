"""ASGI applications that the tests of the server share.

What lives here: plain ones, a few lines each. What must not: starting a server (`harness`).
"""

from collections.abc import Awaitable, Callable
from typing import Any


async def respond(send: Any, body: bytes = b"ok", status: int = 200, *headers: Any) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Any) -> bytes:
    """The whole body. ConnectionError if the client goes first."""
    body: bytes = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            return body
    raise ConnectionError("the client has gone")


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answers without a content-length."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def mirror(scope: Any, receive: Any, send: Any) -> None:
    """Sends a body back, without a content-length."""
    body = await read_body(receive)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def http_echo(scope: Any, receive: Any, send: Any) -> None:
    """Sends the path and the body back."""
    assert scope["type"] == "http"
    body = await read_body(receive)
    await respond(send, scope["path"].encode() + b":" + body)


async def websocket_echo(scope: Any, receive: Any, send: Any) -> None:
    """Sends each message back."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Either, as it is asked."""
    app = http_echo if scope["type"] == "http" else websocket_echo
    await app(scope, receive, send)


def accepting(
    body: Callable[[Any, Any], Awaitable[None]], **accept: Any
) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """An application that accepts and then runs ``body(receive, send)``."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", **accept})
        await body(receive, send)

    return app
