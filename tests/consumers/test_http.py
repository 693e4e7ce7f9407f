"""`AsyncHttpConsumer`."""

import asyncio
import json
from typing import Any

import pytest

from seaway.consumers import AsyncHttpConsumer
from seaway.testing import ApplicationCommunicator, HttpCommunicator
from tests.consumers.conftest import layer_of


@pytest.mark.parametrize("headers", [{b"x-a": b"b"}, [(b"x-a", b"b")]])
async def test_a_response_in_one_piece(headers: Any) -> None:
    ended: list[bool] = []

    class Echo(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_response(201, json.dumps(body.decode()).encode(), headers=headers)

        async def disconnect(self) -> None:
            ended.append(True)

    communicator = HttpCommunicator(Echo.as_asgi(), "post", "/x/", body=b"hello")
    response = await communicator.get_response()
    assert response == {"status": 201, "headers": [(b"x-a", b"b")], "body": b'"hello"'}
    assert ended == [True]
    assert communicator.scope["method"] == "POST"


async def test_a_body_in_parts_is_handled_whole() -> None:
    class Echo(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_response(200, body)

    communicator = ApplicationCommunicator(Echo.as_asgi(), {"type": "http", "path": "/"})
    await communicator.send_input({"type": "http.request", "body": b"one ", "more_body": True})
    assert await communicator.receive_nothing()
    await communicator.send_input({"type": "http.request", "body": b"two"})
    assert (await communicator.receive_output())["status"] == 200
    assert (await communicator.receive_output())["body"] == b"one two"
    await communicator.wait()


async def test_an_exception_is_passed_on_after_disconnect() -> None:
    ended: list[bool] = []

    class Failing(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            raise KeyError("x")

        async def disconnect(self) -> None:
            ended.append(True)

    with pytest.raises(KeyError):
        await HttpCommunicator(Failing.as_asgi(), "GET", "/").get_response()
    assert ended == [True]


async def test_a_long_poll_ends_with_a_message_of_the_layer() -> None:
    joined = asyncio.Event()

    class LongPoll(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.channel_layer.group_add("polls", self.channel_name)
            await self.send_headers(headers=[(b"content-type", b"application/json")])
            await self.send_body(b"", more_body=True)
            joined.set()

        async def chat_message(self, event: Any) -> None:
            await self.send_body(json.dumps(event["text"]).encode())

    communicator = HttpCommunicator(LongPoll.as_asgi(), "GET", "/")
    response = asyncio.create_task(communicator.get_response(timeout=10))
    await joined.wait()
    await layer_of().group_send("polls", {"type": "chat.message", "text": "news"})
    assert (await response)["body"] == b'"news"'


async def test_the_client_may_go_first() -> None:
    ended: list[bool] = []

    class Waiting(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None: ...

        async def disconnect(self) -> None:
            ended.append(True)

    communicator = ApplicationCommunicator(Waiting.as_asgi(), {"type": "http", "path": "/"})
    await communicator.send_input({"type": "http.request", "body": b""})
    await communicator.send_input({"type": "http.disconnect"})
    await communicator.wait()
    assert ended == [True]


async def test_a_body_has_to_be_bytes() -> None:
    class Wrong(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_response(200, "text")  # type: ignore[arg-type]  # what is tested

    with pytest.raises(TypeError, match="not bytes"):
        await HttpCommunicator(Wrong.as_asgi(), "GET", "/").get_response()
