"""One task that serves many consumers: what it must not mix up, whom it must not keep waiting."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from seaway.consumers import AsyncWebsocketConsumer
from seaway.consumers.run import Run
from seaway.consumers.sink_carrier import SinkCarrier
from seaway.consumers.work import ALL_AT, PER_TURN, Work, work_of_loop
from tests.waiting import until

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

Handler = Callable[["Client"], Awaitable[None]]


class Client:
    """A run with one thing to do."""

    def __init__(self, handler: Handler) -> None:
        self.context = contextvars.copy_context()
        self.task: asyncio.Task[None] | None = None
        self.done = False
        self.backlog = 1
        self._handler = handler

    async def empty(self) -> None:
        try:
            await self._handler(self)
        finally:
            self.task = None
            self.done = True


def start(work: Work, *handlers: Handler) -> list[Client]:
    clients = [Client(handler) for handler in handlers]
    for client in clients:
        work.start(client)
    return clients


@pytest.fixture
async def work() -> Work:
    return Work(asyncio.get_running_loop())


async def test_each_has_its_own_context_over_all_its_steps(work: Work) -> None:
    seen: list[str] = []

    def named(name: str, *, waits: bool) -> Handler:
        async def handler(_: Client) -> None:
            seen.append(who.get())
            who.set(name)
            if waits:
                await asyncio.sleep(0.001)
            seen.append(who.get())

        return handler

    clients = start(work, named("a", waits=False), named("b", waits=True), named("c", waits=False))
    await until(lambda: all(client.done for client in clients))
    assert seen == ["nobody", "a", "nobody", "nobody", "c", "b"]
    assert [client.context.get(who) for client in clients] == ["a", "b", "c"]
    assert who.get() == "nobody"


async def test_idle_there_is_no_task(work: Work) -> None:
    async def handler(_: Client) -> None:
        await asyncio.sleep(0)

    clients = start(work, *[handler] * 100)
    await until(lambda: all(client.done for client in clients) and not work.hands)


async def test_who_waits_holds_nobody_up(work: Work) -> None:
    gate = asyncio.Event()

    async def waits(_: Client) -> None:
        await gate.wait()

    async def quick(_: Client) -> None:
        pass

    slow = start(work, waits, waits)
    fast = start(work, *[quick] * 50)
    await until(lambda: all(client.done for client in fast))
    assert not any(client.done for client in slow)
    gate.set()
    await until(lambda: all(client.done for client in slow))


async def test_time_limits_and_groups_of_tasks_work_in_a_handler(work: Work) -> None:
    found: list[Any] = []

    async def limited(_: Client) -> None:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            found.append("in time")

    async def grouped(_: Client) -> None:
        who.set("parent")

        async def child() -> None:
            found.append(who.get())

        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    clients = start(work, limited, grouped)
    await until(lambda: all(client.done for client in clients))
    assert sorted(found) == ["in time", "parent"]


async def test_cancelling_reaches_the_one_that_waits_and_nobody_else(work: Work) -> None:
    cancelled: list[Client] = []

    async def waits(client: Client) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(client)
            raise

    (one,) = start(work, waits)
    await until(lambda: one.task is not None)
    other, third = start(work, waits, waits)
    await until(lambda: other.task is not None and third.task is not None)
    assert one.task is not None
    assert len({one.task, other.task, third.task}) == 3
    one.task.cancel()
    await until(lambda: one.done)
    assert cancelled == [one]
    await work.settle(0.0)
    assert cancelled[0] is one
    assert {*cancelled} == {one, other, third}


async def test_who_cancels_the_task_that_serves_it_harms_no_other(work: Work) -> None:
    async def cancels(_: Client) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    async def quick(_: Client) -> None:
        pass

    clients = start(work, cancels, *[quick] * (3 * PER_TURN))
    await until(lambda: all(client.done for client in clients) and not work.hands)


async def test_the_loop_serves_others_between_the_many(work: Work) -> None:
    turns = 0

    async def quick(_: Client) -> None:
        pass

    clients = start(work, *[quick] * (20 * PER_TURN))
    while not all(client.done for client in clients):
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 10


async def test_the_more_wait_for_each_the_more_are_served_in_a_turn(work: Work) -> None:
    async def quick(_: Client) -> None:
        pass

    clients = [Client(quick) for _ in range(20 * PER_TURN)]
    for client in clients:
        client.backlog = ALL_AT
        work.start(client)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert all(client.done for client in clients)


async def test_settling_waits_for_those_in_line(work: Work) -> None:
    async def slow(_: Client) -> None:
        await asyncio.sleep(0.001)

    clients = start(work, *[slow] * 50)
    await work.settle(20.0)
    assert all(client.done for client in clients)


async def test_after_settling_there_may_be_work_again(work: Work) -> None:
    async def quick(_: Client) -> None:
        pass

    start(work, quick)
    await work.settle(0.0)
    (client,) = start(work, quick)
    await until(lambda: client.done)


# What is written together ------------------------------------------------------------------------


class Sink:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.writable = True

    @staticmethod
    def framing(message: bytes) -> bytes:
        return b"<%s>" % message

    def write(self, frame: bytes) -> None:
        self.written.append(frame)

    def close(self, code: int, reason: str = "") -> None:
        self.written.append(code)


class Chat(AsyncWebsocketConsumer):
    async def say(self, event: Any) -> None:
        for text in event["texts"]:
            await self.send(text_data=text)
        if event.get("waits"):
            await event["waits"].wait()

    async def leave(self, event: Any) -> None:
        await self.close(4001)


def connected() -> tuple[Run, Sink]:
    consumer = Chat()
    run = Run(consumer)
    carrier = SinkCarrier(run)
    run.carrier = carrier
    carrier.sink = sink = Sink()
    consumer._take_up(run)
    return run, sink


async def idle() -> None:
    await until(lambda: not work_of_loop().hands)


def say(*texts: str, **more: Any) -> dict[str, Any]:
    return {"type": "say", "texts": texts, **more}


async def test_answers_to_messages_that_came_together_are_one_write() -> None:
    run, sink = connected()
    for number in range(5):
        run.put(say(str(number)))
    await idle()
    assert sink.written == [b"<0><1><2><3><4>"]


async def test_what_answers_a_single_message_is_written_as_it_is_sent() -> None:
    run, sink = connected()
    run.put(say("working", "done"))
    await idle()
    assert sink.written == [b"<working>", b"<done>"]


async def test_what_is_held_back_goes_out_before_a_handler_waits() -> None:
    run, sink = connected()
    gate = asyncio.Event()
    run.put(say("first"))
    run.put(say("question", waits=gate))
    run.put(say("last"))
    await until(lambda: sink.written == [b"<first><question>"])
    gate.set()
    await idle()
    assert sink.written == [b"<first><question>", b"<last>"]


async def test_what_is_held_back_goes_out_before_a_close() -> None:
    run, sink = connected()
    run.put(say("one"))
    run.put(say("two"))
    run.put({"type": "leave"})
    await idle()
    assert sink.written == [b"<one><two>", 4001]


async def test_no_more_is_held_back_than_a_connection_buffers() -> None:
    run, sink = connected()
    for _ in range(1000):
        run.put(say("x" * 1000))
    await idle()
    assert b"".join(sink.written) == (b"<%s>" % (b"x" * 1000)) * 1000
    assert max(len(frame) for frame in sink.written) <= 64 * 1024
    run.put(say("y" * 5000))
    run.put(say("z"))
    await idle()
    assert sink.written[-2:] == [b"<%s>" % (b"y" * 5000), b"<z>"]


async def test_the_order_is_kept_between_held_and_large_frames() -> None:
    run, sink = connected()
    texts = ["a", "b" * 3000, "c", "d" * 1022, "e"]
    for text in texts:
        run.put(say(text))
    await idle()
    assert b"".join(sink.written) == b"".join(b"<%s>" % text.encode() for text in texts)
