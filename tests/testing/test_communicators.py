"""Communicators: a test's end of an ASGI application."""

import asyncio
import gc
from typing import Any
from urllib.parse import unquote

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections
from django.test import TestCase

from seaway.consumers import AsyncWebsocketConsumer, WebsocketConsumer
from seaway.db import database_sync_to_async
from seaway.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator
from tests.waiting import until


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        await self.send(text_data, bytes_data)


class Silent(AsyncWebsocketConsumer):
    pass


# Any application ---------------------------------------------------------------------------------


async def test_messages_go_both_ways() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] != "end":
            await send({"type": "echo", "of": message})

    communicator = ApplicationCommunicator(app, {"type": "test"})
    await communicator.send_input({"type": "one"})
    assert await communicator.receive_nothing() is False
    assert await communicator.receive_output() == {"type": "echo", "of": {"type": "one"}}
    assert await communicator.receive_nothing() is True
    await communicator.send_input({"type": "end"})
    await communicator.wait()


async def test_a_timeout_leaves_the_application_alone() -> None:
    communicator = WebsocketCommunicator(Silent.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="hello")
    with pytest.raises(TimeoutError):
        await communicator.receive_from(timeout=0.01)
    assert not communicator.future.done()
    await communicator.disconnect()


async def test_output_comes_before_the_failure_that_follows_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "last words"})
        raise KeyError("x")

    communicator = ApplicationCommunicator(app, {"type": "test"})
    assert await communicator.receive_output() == {"type": "last words"}
    with pytest.raises(KeyError):
        await communicator.receive_output()
    with pytest.raises(KeyError):
        await communicator.send_input({"type": "more"})
    with pytest.raises(KeyError):
        await communicator.wait()
    with pytest.raises(KeyError):
        communicator.stop()
    communicator.stop(exceptions=False)


async def test_nobody_waits_for_an_application_that_has_ended() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    communicator = ApplicationCommunicator(app, {"type": "test"})
    with pytest.raises(TimeoutError, match="has ended"):
        await communicator.receive_output(timeout=3600)


async def test_wait_cancels_what_does_not_end() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    communicator = ApplicationCommunicator(app, {"type": "test"})
    await communicator.wait(timeout=0.01)
    assert communicator.future.cancelled()


async def test_nothing_is_left_behind() -> None:
    for _ in range(10):
        communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
        await communicator.connect()
        await communicator.send_to(text_data="hello")
        await communicator.receive_from()
        await communicator.disconnect()
    unused = WebsocketCommunicator(Echo.as_asgi(), "/")
    unused.stop()
    del communicator, unused
    await until(lambda: len(asyncio.all_tasks()) == 1)
    gc.collect()  # what was never awaited would warn, which is an error here


# HTTP and WebSocket ------------------------------------------------------------------------------

PATHS = [
    "/room/%C3%A4/?a=b&c=%20",
    "user:pass@example.com:8080/p/a/t/h?query=string#hash",
    "wss://user:pass@example.com:8080/p/a/t/h?query=string#hash",
    "/",
]


@pytest.mark.parametrize("path", PATHS)
async def test_the_scope_is_made_from_the_path(path: str) -> None:
    websocket = WebsocketCommunicator(Echo.as_asgi(), path)
    http = HttpCommunicator(Echo.as_asgi(), "get", path)
    for scope in (websocket.scope, http.scope):
        assert scope["path"] == unquote(scope["path"])
        assert isinstance(scope["query_string"], bytes)
        assert b"#" not in scope["query_string"]
    assert http.scope["method"] == "GET"
    assert await websocket.connect() == (True, None)
    await websocket.disconnect()


def test_a_path_is_text() -> None:
    with pytest.raises(TypeError, match="Expected str"):
        WebsocketCommunicator(Echo.as_asgi(), b"/")  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize(
    "wrong", [{}, {"text_data": "a", "bytes_data": b"b"}, {"text_data": b"a"}, {"bytes_data": "b"}]
)
async def test_one_of_text_and_bytes_is_sent(wrong: Any) -> None:
    communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
    await communicator.connect()
    with pytest.raises(AssertionError):
        await communicator.send_to(**wrong)
    await communicator.disconnect()


async def test_json_has_to_be_text() -> None:
    communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_json_to({"a": 1})
    assert await communicator.receive_json_from() == {"a": 1}
    await communicator.send_to(bytes_data=b"{}")
    with pytest.raises(AssertionError, match="not a text frame"):
        await communicator.receive_json_from()
    await communicator.disconnect()


async def test_a_body_is_bytes() -> None:
    with pytest.raises(TypeError, match="bytes"):
        HttpCommunicator(Echo.as_asgi(), "POST", "/", body="text")  # type: ignore[arg-type]


# The database ------------------------------------------------------------------------------------


class SyncUsers(WebsocketConsumer):
    def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        User.objects.create(username=text_data)
        self.send(text_data=str(User.objects.count()))


class AsyncUsers(AsyncWebsocketConsumer):
    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        await User.objects.acreate(username=text_data)
        await self.send(text_data=str(await database_sync_to_async(User.objects.count)()))


class DatabaseTests(TestCase):
    """Consumers see the transaction of the test, and the test sees theirs."""

    async def check(self, consumer: Any) -> None:
        await User.objects.acreate(username="ann")
        communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
        await communicator.connect()
        await communicator.send_to(text_data="bob")
        assert await communicator.receive_from() == "2"
        assert await User.objects.acount() == 2
        await communicator.disconnect()

    async def test_sync_consumers(self) -> None:
        await self.check(SyncUsers)

    async def test_async_consumers(self) -> None:
        await self.check(AsyncUsers)

    async def test_and_the_next_test_sees_nothing_of_it(self) -> None:
        assert await User.objects.acount() == 0


def forget_connection() -> None:
    """Of this thread, which later tests use, too: `close` leaves SQLite in memory open."""
    connection: Any = connections["default"]
    if connection.connection is not None:
        connection._close()
    del connections["default"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("consumer", [SyncUsers, AsyncUsers])
async def test_under_pytest(consumer: Any) -> None:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="bob")
    assert await communicator.receive_from() == "1"
    await communicator.disconnect()
    await sync_to_async(forget_connection)()
