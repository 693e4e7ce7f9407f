"""Tasks that do nothing: Seaway's channels with a worker, procrastinate, dramatiq.

What lives here: for each, who sends and who works. What must not: figures.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

Answer = dict[str, Any]

#: Tasks of a worker at a time, and sends that are under way at a time.
CONCURRENCY = 50


def make(kind: str, url: str) -> Chores:
    return {"seaway": Seaway, "procrastinate": Procrastinate, "dramatiq": Dramatiq}[kind](url)


class Chores:
    """Orders that all know."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.count = 0
        self.last = 0.0

    async def start(self) -> None:
        """Connect."""

    async def work(self) -> Answer:
        """Begin to work on what is sent."""
        self.task = asyncio.create_task(self._work())
        return {}

    async def done(self) -> Answer:
        return {"count": self.count, "last": self.last}

    async def forget(self) -> Answer:
        self.count = 0
        return {}

    async def send(self, count: int) -> Answer:
        begun = time.monotonic()
        for first in range(0, count, CONCURRENCY):
            await asyncio.gather(*[self._send(first + n) for n in range(CONCURRENCY)])
        return {"begun": begun, "seconds": time.monotonic() - begun}

    def did(self) -> None:
        self.count += 1
        self.last = time.monotonic()

    async def _work(self) -> None:
        raise NotImplementedError

    async def _send(self, number: int) -> None:
        raise NotImplementedError


class Seaway(Chores):
    """A channel with a handler, and the worker that ``manage.py runworker`` runs."""

    async def start(self) -> None:
        import django
        from django.conf import settings

        settings.configure(
            SECRET_KEY="only-for-benchmarks",
            INSTALLED_APPS=["seaway"],
            SEAWAY={"LAYER": self.url, "NAMESPACE": "bench"},
        )
        django.setup()
        from seaway import channel
        from seaway.conf import layer_home

        self.channel = channel("chores", capacity=100_000)
        await layer_home().adopt()

    async def _work(self) -> None:
        from seaway.channels.handlers import handlers
        from seaway.workers.runner import Runner
        from seaway.workers.worker import Worker

        @self.channel.handler(concurrency=CONCURRENCY)
        async def chore(number: int) -> None:
            self.did()

        await Worker(
            lambda layer: [Runner(layer, handler) for handler in handlers],
            grace=1.0,
            say=lambda _: None,
        ).run()

    async def _send(self, number: int) -> None:
        await self.channel.send(number)


class Procrastinate(Chores):
    """Its worker on asyncio, with as many jobs at a time."""

    async def start(self) -> None:
        from procrastinate import App, PsycopgConnector

        self.app = App(connector=PsycopgConnector(conninfo=self.url, min_size=4, max_size=10))

        async def chore(number: int) -> None:
            self.did()

        self.chore = self.app.task(name="chore")(chore)
        await self.app.open_async()

    async def migrate(self) -> Answer:
        await self.app.schema_manager.apply_schema_async()
        return {}

    async def _work(self) -> None:
        await self.app.run_worker_async(
            concurrency=CONCURRENCY, install_signal_handlers=False, delete_jobs="successful"
        )

    async def _send(self, number: int) -> None:
        await self.chore.defer_async(number=number)


class Dramatiq(Chores):
    """On Redis; its worker's threads, of which it has 8 by default."""

    async def start(self) -> None:
        import dramatiq
        from dramatiq.brokers.redis import RedisBroker

        self.broker = RedisBroker(url=self.url)
        dramatiq.set_broker(self.broker)

        def chore(number: int) -> None:
            self.did()

        self.chore = dramatiq.actor(chore, broker=self.broker)

    async def _work(self) -> None:
        import dramatiq

        self.worker = dramatiq.Worker(self.broker, worker_timeout=100)
        self.worker.start()

    async def _send(self, number: int) -> None:
        # It has no other way; with threads it is slower.
        self.chore.send(number)
