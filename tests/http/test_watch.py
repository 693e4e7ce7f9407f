"""Watching for the client while something runs for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from seaway.http.watch import ClientGone, Watch


class Client:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.going = asyncio.Event()
        self.asked = 0

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        await self.going.wait()
        return {"type": "http.disconnect"}


async def test_what_never_waits_is_never_watched() -> None:
    client = Client()

    async def work() -> str:
        return "done"

    watch = Watch(client.receive)
    assert await watch.run(work()) == "done"
    watch.end()
    await asyncio.sleep(0)
    assert client.asked == 0


async def test_what_waits_goes_on_in_the_same_task() -> None:
    client = Client()

    async def work() -> tuple[Any, int]:
        found = [await asyncio.sleep(0.001, number) for number in range(3)]
        return asyncio.current_task(), sum(found)

    watch = Watch(client.receive)
    assert await watch.run(work()) == (asyncio.current_task(), 3)
    assert await watch.run(work()) == (asyncio.current_task(), 3)
    assert client.asked == 1
    watch.end()


async def test_errors_pass_through() -> None:
    async def now() -> None:
        raise ZeroDivisionError

    async def later() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    watch = Watch(Client().receive)
    for work in (now, later, now):
        with pytest.raises(ZeroDivisionError):
            await watch.run(work())
    watch.end()


async def test_an_error_that_is_awaited_can_be_handled() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError

    async def work() -> str:
        try:
            await asyncio.create_task(fails())
        except KeyError:
            await asyncio.sleep(0)
            return "handled"
        return "not raised"

    watch = Watch(Client().receive)
    assert await watch.run(work()) == "handled"
    watch.end()


async def test_the_work_is_cancelled_when_the_client_goes() -> None:
    client, noticed = Client(), []

    async def work() -> None:
        client.going.set()
        try:
            await asyncio.sleep(60)
        finally:
            noticed.append("cancelled")

    watch = Watch(client.receive)
    with pytest.raises(ClientGone):
        await watch.run(work())
    assert noticed == ["cancelled"]
    with pytest.raises(ClientGone):
        await watch.run(work())
    assert noticed == ["cancelled"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_work_that_will_not_be_cancelled_is_of_no_use_any_more() -> None:
    client = Client()

    async def work() -> str:
        client.going.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "for nobody"
        return "waited"

    with pytest.raises(ClientGone):
        await Watch(client.receive).run(work())


async def test_a_cancellation_from_outside_stays_one() -> None:
    client = Client()
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.sleep(60)

    async def request() -> None:
        watch = Watch(client.receive)
        try:
            await watch.run(work())
        finally:
            watch.end()

    task = asyncio.create_task(request())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_client_that_goes_between_two_runs_is_noticed() -> None:
    client = Client()
    watch = Watch(client.receive)
    await watch.run(asyncio.sleep(0.001))
    client.going.set()
    await asyncio.sleep(0.01)
    with pytest.raises(ClientGone):
        await watch.run(asyncio.sleep(60))
