"""Several consumers over one socket."""

from typing import Any

import pytest

from seaway.consumers import (
    AsyncJsonWebsocketConsumer,
    AsyncJsonWebsocketDemultiplexer,
    JsonWebsocketConsumer,
)
from seaway.exceptions import ConfigurationError
from seaway.testing import WebsocketCommunicator

GONE: list[Any] = []


class Echo(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await self.send_json(f"welcome to {self.scope['stream']}")

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if content == "close":
            await self.close(4005)
        else:
            await self.send_json(content)

    async def disconnect(self, code: int) -> None:
        GONE.append((self.scope["stream"], code))


class Twice(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        self.send_json(content * 2)


class Refusing(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.close()


class Two(AsyncJsonWebsocketDemultiplexer):
    consumers = {"echo": Echo.as_asgi(), "twice": Twice.as_asgi(), "no": Refusing.as_asgi()}


@pytest.fixture
async def communicator() -> Any:
    GONE.clear()
    communicator = WebsocketCommunicator(Two.as_asgi(), "/")
    assert await communicator.connect() == (True, None)
    welcome = {"stream": "echo", "payload": "welcome to echo"}
    assert await communicator.receive_json_from() == welcome
    yield communicator
    await communicator.disconnect()


async def test_each_stream_has_its_consumer(communicator: Any) -> None:
    await communicator.send_json_to({"stream": "echo", "payload": 1})
    assert await communicator.receive_json_from() == {"stream": "echo", "payload": 1}
    await communicator.send_json_to({"stream": "twice", "payload": 4})
    assert await communicator.receive_json_from() == {"stream": "twice", "payload": 8}


@pytest.mark.parametrize("stream", ["unknown", "no"])
async def test_a_stream_that_is_not_there(communicator: Any, stream: str) -> None:
    await communicator.send_json_to({"stream": stream, "payload": 1})
    answer = await communicator.receive_json_from()
    assert answer == {"stream": stream, "error": "there is no such stream"}


@pytest.mark.parametrize("message", [[], {}, {"stream": "echo"}, {"stream": [1], "payload": 1}])
async def test_a_message_of_another_shape(communicator: Any, message: Any) -> None:
    await communicator.send_json_to(message)
    assert "has to be" in (await communicator.receive_json_from())["error"]


async def test_a_stream_may_close_alone(communicator: Any) -> None:
    await communicator.send_json_to({"stream": "echo", "payload": "close"})
    answer = await communicator.receive_json_from()
    assert answer == {"stream": "echo", "error": "closed with 4005"}
    await communicator.send_json_to({"stream": "twice", "payload": 1})
    assert await communicator.receive_json_from() == {"stream": "twice", "payload": 2}


async def test_everybody_is_told_of_the_disconnect() -> None:
    GONE.clear()
    communicator = WebsocketCommunicator(Two.as_asgi(), "/")
    await communicator.connect()
    await communicator.disconnect(code=1001)
    assert GONE == [("echo", 1001)]


async def test_nobody_accepts() -> None:
    class Closed(AsyncJsonWebsocketDemultiplexer):
        consumers = {"no": Refusing.as_asgi()}

    communicator = WebsocketCommunicator(Closed.as_asgi(), "/")
    assert await communicator.connect() == (False, 1000)
    await communicator.disconnect()


async def test_without_consumers() -> None:
    communicator = WebsocketCommunicator(AsyncJsonWebsocketDemultiplexer.as_asgi(), "/")
    with pytest.raises(ConfigurationError, match="has no consumers"):
        await communicator.connect()
