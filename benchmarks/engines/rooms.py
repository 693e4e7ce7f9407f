"""Sending to a group of 1,000 WebSocket clients at 4 worker processes, beside channels_redis.

What lives here: the same consumer under Seaway, and under uvicorn with both layers of
channels_redis; a topic of Seaway, for those who would rather not write consumers; the rounds, with
what was lost. What must not: the consumers and the topic (`benchmarks.projects`).

All workers of a server share one core, the clients have another.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from soak.lean import LeanClient

from benchmarks.engines.groups import Samples, ratios
from benchmarks.procs import Server, cores, python
from benchmarks.projects.payload import TOPIC
from benchmarks.report import Ratios, middle, paired, say

WORKERS, CLIENTS = 4, 1000
#: Messages of a round: so that it takes about as long for all.
MESSAGES = {"seaway": 160, "topic": 200, "core": 5, "pubsub": 5}
#: Seconds without a delivery after which what has not come is lost.
_QUIET = 3.0

_LAYERS = {
    "core": "channels_redis.core.RedisChannelLayer",
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
}
_PROJECTS = "benchmarks.projects"


_JOIN = b'{"type":"join","id":1,"topic":"%s"}' % TOPIC.encode()
_BURST = b'{"type":"call","id":%d,"topic":"%s","action":"burst","args":{"count":%d}}'


class Crowd:
    """All clients of one server, in this process. ``topic``: they speak Seaway's protocol."""

    def __init__(self, topic: bool) -> None:
        self.clients: list[LeanClient] = []
        self.count = 0
        self.last = 0.0
        self._topic = topic
        self._path = "/seaway/" if topic else "/fanout/"
        self._calls = itertools.count(2)

    async def join(self, port: int, clients: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(clients):
            _, client = await loop.create_connection(
                lambda: LeanClient("127.0.0.1", self._path, self._got), "127.0.0.1", port
            )
            await client.opened
            self.clients.append(client)
            if self._topic:
                client.send(_JOIN)

    def _got(self, text: bytes) -> None:
        if self._topic and not text.startswith(b'{"type":"event"'):
            return
        self.count += 1
        self.last = asyncio.get_running_loop().time()

    async def send(self, messages: int) -> tuple[int, float]:
        """Let the first one's consumer send to all; how many came, and in which time."""
        loop = asyncio.get_running_loop()
        self.count, self.last = 0, loop.time()
        begun = self.last
        asked = (next(self._calls), TOPIC.encode(), messages)
        self.clients[0].send(_BURST % asked if self._topic else b"%d" % messages)
        awaited = messages * len(self.clients)
        while self.count < awaited and loop.time() - self.last < _QUIET:  # noqa: ASYNC110  a clock
            await asyncio.sleep(0.01)
        return self.count, max(self.last - begun, 1e-6)

    def leave(self) -> None:
        for client in self.clients:
            client.close()


async def measure(url: str, redis: str, rounds: int) -> Ratios:
    """Seaway on ``url`` beside Channels on ``redis``."""
    samples: dict[str, Samples] = defaultdict(Samples)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[1]})
    try:
        async with AsyncExitStack() as stack:
            rooms = []
            for kind in MESSAGES:
                server = stack.enter_context(_server(kind, redis if kind in _LAYERS else url))
                crowd = await stack.enter_async_context(_crowd(server, kind))
                await crowd.send(1)
                rooms.append((kind, server, crowd))
            for _ in range(rounds):
                for kind, server, crowd in rooms:
                    await _round(samples[kind], MESSAGES[kind], server, crowd)
    finally:
        os.sched_setaffinity(0, before)
    topic, core = samples.pop("topic"), samples["core"]
    say(f"    room, topic    {middle(topic.per_second):9,.0f} deliveries per second")
    found = ratios("room", samples)
    found["room_topic_vs_channels_redis"] = paired(topic.per_second, core.per_second)
    found["room_topic_lost"] = topic.lost
    return found


async def _round(samples: Samples, messages: int, server: Server, crowd: Crowd) -> None:
    before = server.cpu()
    got, seconds = await crowd.send(messages)
    samples.per_second.append(got / seconds)
    samples.per_cpu.append(got / server.cpu().since(before).total)
    samples.sent += messages * CLIENTS
    samples.lost += messages * CLIENTS - got


@contextmanager
def _server(kind: str, url: str) -> Iterator[Server]:
    def command(port: int) -> list[str]:
        workers = ("--workers", str(WORKERS))
        if kind not in _LAYERS:
            project = "seaway_project" if kind == "topic" else "consumers_project"
            application = f"{_PROJECTS}.{project}.asgi:application"
            bind = ("--bind", f"127.0.0.1:{port}")
            return python("-m", "seaway.server.cli", "serve", application, *bind, *workers)
        application = f"{_PROJECTS}.channels_project.asgi:application"
        address = ("--host", "127.0.0.1", "--port", str(port))
        quiet = ("--no-access-log", "--log-level", "warning")
        return python("-m", "uvicorn", application, *address, *workers, *quiet)

    environment = {"BENCH_LAYER": url}
    if kind in _LAYERS:
        environment = {"BENCH_REDIS": url, "BENCH_CHANNEL_LAYER": _LAYERS[kind]}
    with Server(kind, command, environment) as server:
        yield server


@asynccontextmanager
async def _crowd(server: Server, kind: str) -> AsyncIterator[Crowd]:
    crowd = Crowd(topic=kind == "topic")
    try:
        await crowd.join(server.port, CLIENTS)
        yield crowd
    finally:
        crowd.leave()
