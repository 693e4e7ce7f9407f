"""Consumers of any protocol."""

import threading
from typing import Any

import pytest

from seaway.consumers import AsyncConsumer, StopConsumer, SyncConsumer
from seaway.testing import ApplicationCommunicator, HttpCommunicator
from tests.consumers.conftest import layer_of
from tests.waiting import until

WEBSOCKET = {"type": "websocket", "path": "/", "headers": []}


class Hello(AsyncConsumer):
    async def http_request(self, message: Any) -> None:
        assert self.scope["method"] == "GET"
        await self.send({"type": "http.response.start", "status": 200, "headers": []})
        await self.send({"type": "http.response.body", "body": self.scope["query_string"]})
        raise StopConsumer


class SyncHello(SyncConsumer):
    def http_request(self, message: Any) -> None:
        assert threading.current_thread() is not threading.main_thread()
        self.send({"type": "http.response.start", "status": 200, "headers": []})
        self.send({"type": "http.response.body", "body": self.scope["query_string"]})
        raise StopConsumer


@pytest.mark.parametrize("consumer", [Hello, SyncHello])
async def test_a_request_is_answered(consumer: type[AsyncConsumer]) -> None:
    response = await HttpCommunicator(consumer.as_asgi(), "GET", "/?a=b").get_response()
    assert (response["status"], response["body"]) == (200, b"a=b")


@pytest.mark.parametrize("consumer", [Hello, SyncHello])
async def test_an_instance_is_an_application(consumer: type[AsyncConsumer]) -> None:
    response = await HttpCommunicator(consumer(), "GET", "/?a=b").get_response()
    assert response["body"] == b"a=b"


def test_as_asgi_tells_what_it_makes() -> None:
    app: Any = Hello.as_asgi(size=3)
    assert (app.consumer_class, app.consumer_initkwargs) == (Hello, {"size": 3})
    assert app.__name__ == "Hello"


async def test_as_asgi_passes_its_arguments_on() -> None:
    class Sized(Hello):
        def __init__(self, size: int) -> None:
            self.size = size

        async def http_request(self, message: Any) -> None:
            assert self.size == 3
            await super().http_request(message)

    await HttpCommunicator(Sized.as_asgi(size=3), "GET", "/").get_response()


async def test_a_type_without_a_method_is_an_error() -> None:
    communicator = ApplicationCommunicator(Hello.as_asgi(), dict(WEBSOCKET))
    await communicator.send_input({"type": "websocket.connect"})
    with pytest.raises(ValueError, match=r"No handler for message type websocket\.connect"):
        await communicator.wait()


async def test_a_plain_method_of_an_async_consumer_runs_in_a_thread() -> None:
    where: list[threading.Thread] = []

    class Mixed(AsyncConsumer):
        def http_request(self, message: Any) -> None:
            where.append(threading.current_thread())
            raise StopConsumer

    communicator = ApplicationCommunicator(Mixed.as_asgi(), {"type": "http"})
    await communicator.send_input({"type": "http.request"})
    await communicator.wait()
    assert where[0] is not threading.main_thread()


async def test_an_overridden_dispatch_sees_every_message() -> None:
    seen: list[str] = []

    class Watched(Hello):
        async def dispatch(self, message: Any) -> None:
            seen.append(message["type"])
            await super().dispatch(message)

        async def chat_message(self, message: Any) -> None: ...

    communicator = HttpCommunicator(Watched.as_asgi(), "GET", "/")
    await communicator.get_response()
    assert seen == ["http.request"]


@pytest.mark.parametrize("alias", ["default", "memory", "foreign"])
async def test_a_message_of_the_layer_reaches_its_method(alias: str) -> None:
    names: list[str] = []

    class Listening(AsyncConsumer):
        channel_layer_alias = alias

        async def websocket_connect(self, message: Any) -> None:
            names.append(self.channel_name)

        async def chat_message(self, message: Any) -> None:
            await self.send({"type": "websocket.send", "text": message["text"]})

    communicator = ApplicationCommunicator(Listening.as_asgi(), dict(WEBSOCKET))
    await communicator.send_input({"type": "websocket.connect"})
    await until(lambda: bool(names))
    layer = layer_of(alias)
    await layer.send(names[0], {"type": "chat.message", "text": "hello"})
    assert (await communicator.receive_output())["text"] == "hello"
    await communicator.send_input({"type": "websocket.disconnect", "code": 1000})
    await communicator.wait()


async def test_a_consumer_without_a_disconnect_method_ends_by_itself() -> None:
    class Silent(AsyncConsumer):
        async def websocket_connect(self, message: Any) -> None: ...

    communicator = ApplicationCommunicator(Silent.as_asgi(), dict(WEBSOCKET))
    await communicator.send_input({"type": "websocket.connect"})
    await communicator.send_input({"type": "websocket.disconnect", "code": 1000})
    await communicator.wait()
    assert communicator.future.done()
    assert not communicator.future.cancelled()
