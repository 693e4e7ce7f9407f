"""A Seaway layer under an unmodified Channels project: its own consumers and communicators."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.consumer import AsyncConsumer
from channels.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer
from channels.layers import channel_layers, get_channel_layer
from channels.routing import ChannelNameRouter
from channels.testing import ApplicationCommunicator, WebsocketCommunicator
from channels.worker import Worker
from django.test import override_settings

from seaway.conf import close_layer_home
from seaway.layers import SeawayChannelLayer


@pytest.fixture(autouse=True)
def project(db: None) -> Iterator[None]:
    """As in the settings of a Channels project that has changed nothing else. ``db``: its consumers
    close database connections, also those that an earlier test has left in their thread."""
    backend = {"BACKEND": "seaway.layers.SeawayChannelLayer", "CONFIG": {"LAYER": "memory://"}}
    with override_settings(CHANNEL_LAYERS={"default": backend}):
        yield
        channel_layers.backends = {}
        close_layer_home()


class Chat(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    groups = ["room"]

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.channel_layer.group_send("room", {"type": "chat.message", "text": content})

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send_json({"said": event["text"]})


class OldChat(WebsocketConsumer):  # type: ignore[misc]  # Channels has no types
    def connect(self) -> None:
        async_to_sync(self.channel_layer.group_add)("room", self.channel_name)
        self.accept()

    def disconnect(self, code: int) -> None:
        async_to_sync(self.channel_layer.group_discard)("room", self.channel_name)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        message = {"type": "chat.message", "text": text_data}
        async_to_sync(self.channel_layer.group_send)("room", message)

    def chat_message(self, event: dict[str, Any]) -> None:
        self.send(text_data=event["text"])


async def connected(consumer: Any) -> WebsocketCommunicator:
    client = WebsocketCommunicator(consumer.as_asgi(), "/chat/")
    accepted, _ = await client.connect(timeout=10)
    assert accepted
    return client


async def test_a_room_of_channels_consumers() -> None:
    clients = [await connected(Chat) for _ in range(3)]
    await clients[0].send_json_to("hello")
    for client in clients:
        assert await client.receive_json_from(timeout=10) == {"said": "hello"}
    layer = get_channel_layer()
    assert isinstance(layer, SeawayChannelLayer)
    assert await layer.group_count("room") == 3
    await clients[0].disconnect()
    assert await layer.group_count("room") == 2
    await layer.group_send("room", {"type": "chat.message", "text": "from outside"})
    for client in clients[1:]:
        assert await client.receive_json_from(timeout=10) == {"said": "from outside"}
        await client.disconnect()
    assert await layer.group_count("room") == 0


async def test_synchronous_consumers_of_channels() -> None:
    one, two = await connected(OldChat), await connected(OldChat)
    await one.send_to(text_data="hello")
    for client in (one, two):
        assert await client.receive_from(timeout=10) == "hello"
    await one.disconnect()
    await two.disconnect()


async def test_a_message_to_one_consumer() -> None:
    class Direct(AsyncConsumer):  # type: ignore[misc]  # Channels has no types
        async def start(self, message: dict[str, Any]) -> None:
            await self.send({"type": "named", "name": self.channel_name})

        async def say(self, message: dict[str, Any]) -> None:
            await self.send({"type": "said", "text": message["text"]})

    client = ApplicationCommunicator(Direct.as_asgi(), {"type": "test"})
    await client.send_input({"type": "start"})
    name = (await client.receive_output(timeout=10))["name"]
    await get_channel_layer().send(name, {"type": "say", "text": "hello"})
    assert (await client.receive_output(timeout=10))["text"] == "hello"
    client.stop()


async def test_channels_worker_takes_from_plain_channels() -> None:
    done: list[str] = []

    class Print(AsyncConsumer):  # type: ignore[misc]  # Channels has no types
        async def test_print(self, message: dict[str, Any]) -> None:
            done.append(message["text"])

    layer = get_channel_layer()
    application = ChannelNameRouter({"printer": Print.as_asgi()})
    worker = Worker(application, ["printer"], layer, max_applications=10)
    working = asyncio.ensure_future(worker.handle())
    for number in range(3):
        await layer.send("printer", {"type": "test.print", "text": str(number)})
    async with asyncio.timeout(10):
        while len(done) < 3:  # noqa: ASYNC110  the consumer has no event to set
            await asyncio.sleep(0.01)
    assert sorted(done) == ["0", "1", "2"]
    working.cancel()
    await asyncio.wait([working])
