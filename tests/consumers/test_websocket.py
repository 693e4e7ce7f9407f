"""Consumers of WebSockets, asynchronous and synchronous alike, through a communicator."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from seaway.consumers import (
    AcceptConnection,
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    DenyConnection,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from seaway.exceptions import InvalidChannelLayerError
from seaway.testing import WebsocketCommunicator
from tests.consumers.conftest import layer_of

ALIASES = pytest.mark.parametrize("alias", ["default", "memory", "foreign"])


def both(**methods: Callable[..., Any]) -> Any:
    """Parametrise with an async and a sync consumer made from the same generators.

    A method yields what is to be called, as ``(name, args, kwargs)``.
    """

    def run_sync(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **kwargs: Any) -> None:
            for called, a, k in function(self, *args, **kwargs):
                getattr(self, called)(*a, **k)

        method.__name__ = name
        return method

    def run_async(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        async def method(self: Any, *args: Any, **kwargs: Any) -> None:
            for called, a, k in function(self, *args, **kwargs):
                await getattr(self, called)(*a, **k)

        method.__name__ = name
        return method

    sync = {name: run_sync(name, each) for name, each in methods.items()}
    async_ = {name: run_async(name, each) for name, each in methods.items()}
    classes = [
        type("Sync", (WebsocketConsumer,), sync),
        type("Async", (AsyncWebsocketConsumer,), async_),
    ]
    return pytest.mark.parametrize("consumer", classes, ids=["sync", "async"])


def call(name: str, *args: Any, **kwargs: Any) -> tuple[str, Any, Any]:
    return name, args, kwargs


def echo(self: Any, text_data: Any = None, bytes_data: Any = None) -> Any:
    yield call("send", text_data, bytes_data)


@both(receive=echo)
async def test_text_and_bytes_come_back(consumer: Any) -> None:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/chat/")
    assert await communicator.connect() == (True, None)
    await communicator.send_to(text_data="hello")
    assert await communicator.receive_from() == "hello"
    await communicator.send_to(bytes_data=b"w\0")
    assert await communicator.receive_from() == b"w\0"
    await communicator.disconnect()


@both(receive=echo)
@pytest.mark.parametrize(
    "message",
    [{"text": "hello"}, {"text": "hello", "bytes": None}, {"text": None, "bytes": b"hello"}],
)
async def test_servers_may_leave_keys_out_or_set_them_to_none(consumer: Any, message: Any) -> None:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/chat/")
    await communicator.connect()
    await communicator.send_input({"type": "websocket.receive", **message})
    assert await communicator.receive_from() in ("hello", b"hello")
    await communicator.disconnect()


def accept_second(self: Any) -> Any:
    assert self.scope["subprotocols"] == ["one", "two"]
    yield call("accept", "two", headers=[(b"x-room", b"7")])


@both(connect=accept_second)
async def test_a_subprotocol_and_headers_are_carried(consumer: Any) -> None:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/", subprotocols=["one", "two"])
    assert await communicator.connect() == (True, "two")
    assert communicator.response_headers == [(b"x-room", b"7")]
    await communicator.disconnect()


def accept_and_close(self: Any) -> Any:
    yield call("accept")
    yield call("close", code=4007, reason="enough")


@both(connect=accept_and_close)
async def test_a_close_code_and_reason_are_carried(consumer: Any) -> None:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    await communicator.connect()
    closed = await communicator.receive_output()
    assert closed == {"type": "websocket.close", "code": 4007, "reason": "enough"}
    await communicator.disconnect()


@both(connect=accept_and_close)
async def test_a_close_is_no_message(consumer: Any) -> None:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    await communicator.connect()
    expected = "Expected type 'websocket.send', but was 'websocket.close'"
    with pytest.raises(AssertionError, match=expected):
        await communicator.receive_from()
    await communicator.disconnect()


def send_and_close(self: Any, text_data: Any = None, bytes_data: Any = None) -> Any:
    yield call("send", text_data="bye", close=4001)


@both(receive=send_and_close)
async def test_send_may_close(consumer: Any) -> None:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="x")
    assert await communicator.receive_from() == "bye"
    assert (await communicator.receive_output())["code"] == 4001
    await communicator.disconnect()


def send_nothing(self: Any, text_data: Any = None, bytes_data: Any = None) -> Any:
    yield call("send")


@both(receive=send_nothing)
async def test_send_wants_text_or_bytes(consumer: Any) -> None:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data="x")
    with pytest.raises(ValueError, match="one of bytes_data or text_data"):
        await communicator.wait()


@pytest.mark.parametrize(("error", "accepted"), [(AcceptConnection, True), (DenyConnection, False)])
@pytest.mark.parametrize("base", [WebsocketConsumer, AsyncWebsocketConsumer])
async def test_an_exception_accepts_or_refuses(base: Any, error: Any, accepted: bool) -> None:
    class Sync(WebsocketConsumer):
        def connect(self) -> None:
            raise error

    class Async(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            raise error

    consumer: Any = Sync if base is WebsocketConsumer else Async
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    connected, code = await communicator.connect()
    assert connected is accepted
    assert code == (None if accepted else 1000)
    await communicator.disconnect()


class Group(AsyncWebsocketConsumer):
    groups = ["chat"]

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        message = {"type": "websocket.ping", "text": text_data}
        await self.channel_layer.group_send("chat", message)

    async def websocket_ping(self, event: Any) -> None:
        await self.send(text_data=event["text"])


class SyncGroup(WebsocketConsumer):
    groups = ["chat"]

    def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        message = {"type": "websocket.ping", "text": text_data}
        async_to_sync(self.channel_layer.group_send)("chat", message)

    def websocket_ping(self, event: Any) -> None:
        self.send(text_data=event["text"])


@ALIASES
@pytest.mark.parametrize("base", [Group, SyncGroup])
async def test_what_one_says_the_group_hears(base: Any, alias: str) -> None:
    consumer: Any = type("Aliased", (base,), {"channel_layer_alias": alias})
    one = WebsocketCommunicator(consumer.as_asgi(), "/")
    two = WebsocketCommunicator(consumer.as_asgi(), "/")
    await one.connect()
    await two.connect()
    await one.send_to(text_data="hello")
    assert await one.receive_from() == await two.receive_from() == "hello"
    await one.disconnect()
    await layer_of(alias).group_send("chat", {"type": "websocket.ping", "text": "again"})
    assert await two.receive_from() == "again"
    assert await one.receive_nothing()
    await two.disconnect()


@pytest.mark.parametrize("consumer", [Group, SyncGroup])
async def test_groups_without_a_layer_are_an_error(consumer: Any, settings: Any) -> None:
    settings.CHANNEL_LAYERS = {}
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    with pytest.raises(InvalidChannelLayerError):
        await communicator.connect()


@ALIASES
@pytest.mark.parametrize("kind", ["_my_private", ".my.private", "._private"])
async def test_a_group_message_cannot_name_a_private_method(kind: str, alias: str) -> None:
    class Private(Group):
        channel_layer_alias = alias

        async def _my_private(self, message: Any) -> None:
            await self.send(text_data="never")

    communicator = WebsocketCommunicator(Private.as_asgi(), "/")
    await communicator.connect()
    await layer_of(alias).group_send("chat", {"type": kind})
    with pytest.raises(ValueError, match=r"Malformed type in message \(leading underscore\)"):
        await communicator.receive_from()


class Json(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json({"got": content})


class SyncJson(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json({"got": content})


@pytest.mark.parametrize("consumer", [Json, SyncJson])
async def test_json_goes_both_ways(consumer: Any) -> None:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_json_to({"a": [1]})
    assert await communicator.receive_json_from() == {"got": {"a": [1]}}
    await communicator.disconnect()


@pytest.mark.parametrize("consumer", [Json, SyncJson])
async def test_bytes_are_no_json(consumer: Any) -> None:
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(bytes_data=b"w\0")
    with pytest.raises(ValueError, match="No text section"):
        await communicator.wait()


async def test_encoding_and_decoding_can_be_replaced() -> None:
    class Upper(Json):
        @classmethod
        async def decode_json(cls, text_data: str) -> Any:
            return json.loads(text_data.upper())

        @classmethod
        async def encode_json(cls, content: Any) -> str:
            return json.dumps(content, separators=(",", ":"))

    communicator = WebsocketCommunicator(Upper.as_asgi(), "/")
    await communicator.connect()
    await communicator.send_to(text_data='["a"]')
    assert await communicator.receive_from() == '{"got":["A"]}'
    await communicator.disconnect()


@pytest.mark.parametrize("base", [WebsocketConsumer, AsyncWebsocketConsumer])
async def test_disconnect_gets_the_code(base: Any) -> None:
    codes: list[int] = []

    class Sync(WebsocketConsumer):
        def disconnect(self, code: int) -> None:
            codes.append(code)

    class Async(AsyncWebsocketConsumer):
        async def disconnect(self, code: int) -> None:
            codes.append(code)

    consumer: Any = Sync if base is WebsocketConsumer else Async
    communicator = WebsocketCommunicator(consumer(), "/")
    await communicator.connect()
    await communicator.disconnect(code=1001)
    assert codes == [1001]
