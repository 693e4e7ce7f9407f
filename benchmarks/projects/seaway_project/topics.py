"""The topic that is measured: without presence, with the history that a topic has by default."""

import asyncio

from benchmarks.projects.payload import EVENT_DATA, TOPIC
from seaway import Topic, action


class Fanout(Topic):
    route = TOPIC

    async def join(self) -> dict[str, object]:
        return {}

    @action
    async def burst(self, count: int) -> None:
        """Publish ``count`` events in one go."""
        if count == 1:
            await self.apublish("tick", EVENT_DATA)
        else:
            await asyncio.gather(*(self.apublish("tick", EVENT_DATA) for _ in range(count)))

    @action
    async def tasks(self) -> int:
        """How many asyncio tasks this worker has."""
        return len(asyncio.all_tasks())
