"""The consumer that is measured: the same methods on whichever base.

What lives here: the class body, once.
What must not: an import of Seaway or of Channels.
"""

from __future__ import annotations

from typing import Any

from benchmarks.projects.payload import EVENT

GROUP = "bench"


def group_consumer(base: Any) -> Any:
    """A consumer in a group; ``base`` is somebody's `AsyncWebsocketConsumer`.

    A number as a message is sent to the group so many times; anything else comes back.
    """

    class GroupConsumer(base):  # type: ignore[misc]  # that is the point
        async def connect(self) -> None:
            await self.channel_layer.group_add(GROUP, self.channel_name)
            await self.accept()

        async def disconnect(self, code: int) -> None:
            await self.channel_layer.group_discard(GROUP, self.channel_name)

        async def receive(self, text_data: str = "", bytes_data: bytes | None = None) -> None:
            if not text_data.isdigit():
                await self.send(text_data=text_data)
                return
            for _ in range(int(text_data)):
                await self.channel_layer.group_send(GROUP, {"type": "tick", "text": EVENT})

        async def tick(self, event: dict[str, Any]) -> None:
            await self.send(text_data=event["text"])

    return GroupConsumer
