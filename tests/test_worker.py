"""Work for channels."""

import asyncio
from typing import Any

import pytest
from django.test import override_settings

from seaway.consumers import AsyncConsumer, StopConsumer, SyncConsumer
from seaway.layers import get_channel_layer
from seaway.routing import ChannelNameRouter
from seaway.worker import Worker

DONE: asyncio.Queue[Any] = asyncio.Queue()


class Thumbnails(SyncConsumer):
    def make(self, message: Any) -> None:
        DONE.put_nowait(("made", message["id"]))

    def stop(self, message: Any) -> None:
        raise StopConsumer


class Mail(AsyncConsumer):
    async def mail_send(self, message: Any) -> None:
        DONE.put_nowait(("sent", message["to"]))
        if message["to"] == "nobody":
            await self.send({"type": "answer"})


ROUTER = ChannelNameRouter({"thumbnails": Thumbnails.as_asgi(), "mail": Mail.as_asgi()})


@pytest.fixture
async def layer() -> Any:
    layers = {"default": {"BACKEND": "seaway.layers.InMemoryChannelLayer"}}
    with override_settings(CHANNEL_LAYERS=layers):
        yield get_channel_layer()
    while not DONE.empty():
        DONE.get_nowait()


async def test_each_channel_has_its_consumer(layer: Any) -> None:
    working = asyncio.create_task(Worker(ROUTER, ["thumbnails", "mail"], layer).serve())
    async with asyncio.timeout(20):
        await layer.send("thumbnails", {"type": "make", "id": 7})
        assert await DONE.get() == ("made", 7)
        await layer.send("mail", {"type": "mail.send", "to": "ann"})
        assert await DONE.get() == ("sent", "ann")
        # One that stops is followed by another.
        await layer.send("thumbnails", {"type": "stop"})
        await layer.send("thumbnails", {"type": "make", "id": 8})
        assert await DONE.get() == ("made", 8)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working


async def test_a_failure_ends_the_worker_and_says_why(layer: Any) -> None:
    working = asyncio.create_task(Worker(ROUTER, ["thumbnails", "mail"], layer).serve())
    await layer.send("mail", {"type": "mail.send", "to": "nobody"})
    with pytest.raises(ExceptionGroup) as failed:
        await working
    assert "nobody at the other end" in str(failed.value.exceptions[0])


async def test_what_is_being_handled_ends_before_the_worker_does(layer: Any) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(AsyncConsumer):
        async def work(self, message: Any) -> None:
            begun.set()
            await go_on.wait()
            DONE.put_nowait(message["id"])

    worker = Worker(Slow.as_asgi(), ["slow"], layer)
    working = asyncio.create_task(worker.serve_until_stopped(grace=20))
    await layer.send("slow", {"type": "work", "id": 1})
    await layer.send("slow", {"type": "work", "id": 2})
    await begun.wait()
    worker.stop()
    go_on.set()
    await working
    assert DONE.get_nowait() == 1
    assert DONE.empty()
    assert (await layer.receive("slow"))["id"] == 2


async def test_what_does_not_end_is_cancelled(layer: Any) -> None:
    begun = asyncio.Event()

    class Stuck(AsyncConsumer):
        async def work(self, message: Any) -> None:
            begun.set()
            await asyncio.Event().wait()

    worker = Worker(Stuck.as_asgi(), ["stuck"], layer)
    working = asyncio.create_task(worker.serve_until_stopped(grace=0.01))
    await layer.send("stuck", {"type": "work"})
    await begun.wait()
    worker.stop()
    await working
