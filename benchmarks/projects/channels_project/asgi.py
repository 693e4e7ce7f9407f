"""One consumer: every connection joins a group; a number as a message publishes so many events."""

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.projects.channels_project.settings")
django_application = get_asgi_application()

# Django has to be set up first (E402).
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

from benchmarks.projects.payload import event_number  # noqa: E402

GROUP = "bench"


class FanoutConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # an untyped base
    async def connect(self) -> None:
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        for number in range(int(text_data or 0)):
            event = {"type": "tick", "text": event_number(number)}
            await self.channel_layer.group_send(GROUP, event)

    async def tick(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": URLRouter([path("fanout/", FanoutConsumer.as_asgi())]),
    }
)
