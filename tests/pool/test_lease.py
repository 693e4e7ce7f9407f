"""One thread for the synchronous code of one request, and for what outlives it."""

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async

from seaway import pool
from seaway.pool import Lease
from tests.waiting import until


def leased() -> Lease:
    lease = pool.lease()
    assert lease is not None
    return lease


async def thread() -> int:
    return await sync_to_async(threading.get_ident)()


async def test_all_of_a_request_runs_in_one_thread_of_the_pool() -> None:
    with leased() as lease:
        assert not lease.taken
        first = await thread()
        assert lease.taken
        name = await sync_to_async(lambda: threading.current_thread().name)()
        assert name.startswith("seaway-sync")
        assert {await thread() for _ in range(10)} == {first}
    assert not lease.taken


async def test_requests_side_by_side_have_a_thread_each() -> None:
    gate = asyncio.Barrier(2)

    async def request() -> int:
        with leased():
            first = await thread()
            await gate.wait()
            assert await thread() == first
            await gate.wait()
            return first

    one, other = await asyncio.gather(request(), request())
    assert one != other


async def test_a_task_that_outlives_its_request_stays_in_one_thread() -> None:
    ended = asyncio.Event()

    async def background() -> set[int]:
        await ended.wait()
        return {await thread() for _ in range(10)}

    with leased():
        task = asyncio.create_task(background())
        in_request = await thread()
    ended.set()
    found = await task
    assert len(found) == 1
    assert found != {in_request}


async def test_after_a_request_asgiref_does_as_without_one() -> None:
    before = await thread()
    with leased():
        assert await thread() != before
    assert await thread() == before


async def test_a_failure_in_the_thread_is_the_callers() -> None:
    def fails() -> None:
        raise KeyError("mine")

    with leased() as lease:
        with pytest.raises(KeyError, match="mine"):
            await sync_to_async(fails)()
        assert lease.taken
    await until(lambda: not lease.taken)
