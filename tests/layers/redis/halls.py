"""A topic of one server, with a publisher and followers, each as if in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.layers.following import Follower, Publisher
from tests.layers.redis.support import namespace, processes, redis_layer
from tests.servers.valkey import Valkey
from tests.waiting import until

TOPIC = "halls/1/seats"


class Hall:
    """A publisher and two followers, each in a process of its own."""

    def __init__(self, publisher: Publisher, followers: list[Follower]) -> None:
        self.publisher = publisher
        self.followers = followers
        self.end = asyncio.Event()

    async def settle(self) -> None:
        """Publish a last event, wait until everybody has it, and check the promise."""
        self.end.set()
        for follower in self.followers:
            await follower.until_current(self.publisher)
        last = await self.publisher.last()
        for follower in self.followers:
            await follower.until_got(last)
            follower.check(self.publisher.told)

    @property
    def gaps(self) -> list[int]:
        return [follower.gaps for follower in self.followers]


@asynccontextmanager
async def hall(url: str, *, publishing: bool = True) -> AsyncIterator[Hall]:
    name = namespace()
    followers = [await Follower(redis_layer(url, name), TOPIC).start() for _ in range(2)]
    [source] = await processes(url, 1, name)
    publisher = Publisher(source.layer, TOPIC)
    scene = Hall(publisher, followers)
    task = asyncio.create_task(publisher.publish_until(scene.end)) if publishing else None
    if task is not None:
        await until(lambda: all(len(one.got()) > 20 for one in followers))
    try:
        yield scene
    finally:
        scene.end.set()
        if task is not None:
            await task
        for follower in followers:
            await follower.stop()
        await source.layer.close()


@asynccontextmanager
async def hall_of_one(valkey: Valkey, name: str) -> AsyncIterator[tuple[Follower, Publisher]]:
    follower = await Follower(redis_layer(valkey.url, name), TOPIC).start()
    [source] = await processes(valkey.url, 1, name)
    try:
        yield follower, Publisher(source.layer, TOPIC)
    finally:
        await follower.stop()
        await source.layer.close()
