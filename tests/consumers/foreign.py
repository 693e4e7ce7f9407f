"""A channel layer such as other packages have: without `subscribe`.

What lives here: a small one, in memory, with the methods of the Channels API only.
What must not: anything of Seaway.
"""

import asyncio
from collections import defaultdict
from typing import Any


class ForeignLayer:
    """Queues and groups of one process."""

    def __init__(self, **_: Any) -> None:
        self.queues: dict[str, asyncio.Queue[dict[str, Any]]] = defaultdict(asyncio.Queue)
        self.groups: dict[str, set[str]] = defaultdict(set)
        self.names = 0

    async def new_channel(self, prefix: str = "specific") -> str:
        self.names += 1
        return f"{prefix}!{self.names}"

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        await self.queues[channel].put(dict(message))

    async def receive(self, channel: str) -> dict[str, Any]:
        return await self.queues[channel].get()

    async def group_add(self, group: str, channel: str) -> None:
        self.groups[group].add(channel)

    async def group_discard(self, group: str, channel: str) -> None:
        self.groups[group].discard(channel)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        for channel in sorted(self.groups[group]):
            await self.send(channel, message)
