"""The pool: synchronous code off the loop, in few threads, with clean connections."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import override_settings

from seaway import pool
from seaway.pool import refresh_connections, run_in_pool, thread_sensitive

language: contextvars.ContextVar[str] = contextvars.ContextVar("language")


@pytest.fixture(autouse=True)
def fresh_pool() -> Iterator[None]:
    pool._forget()
    yield
    pool._forget()


async def test_a_function_runs_in_another_thread_with_the_callers_context() -> None:
    language.set("is")
    thread, value = await run_in_pool(lambda: (threading.current_thread(), language.get()))
    assert value == "is"
    assert thread is not threading.current_thread()


async def test_what_a_function_sets_in_its_context_stays_there() -> None:
    language.set("is")
    await run_in_pool(language.set, "fo")
    assert language.get() == "is"


async def test_an_error_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        await run_in_pool(divmod, 1, 0)


async def test_stop_iteration_does_not_hang_the_caller() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(run_in_pool(next, iter(())), 30)


async def test_there_are_never_more_threads_than_the_settings_say() -> None:
    with override_settings(SEAWAY={"LAYER": "memory://", "THREADS": 2}):
        gate = threading.Barrier(2)

        def meet() -> str:
            gate.wait(30)
            return threading.current_thread().name

        names = await asyncio.gather(*(run_in_pool(meet) for _ in range(8)))
    assert len(set(names)) == 2


async def test_threads_persist() -> None:
    with override_settings(SEAWAY={"LAYER": "memory://", "THREADS": 1}):
        first = await run_in_pool(threading.get_ident)
        assert await run_in_pool(threading.get_ident) == first


async def test_thread_sensitive_code_runs_where_asynchronous_database_code_runs() -> None:
    with thread_sensitive():
        here = await run_in_pool(threading.get_ident)
    assert here == await sync_to_async(threading.get_ident)()
    assert here != await run_in_pool(threading.get_ident)


@pytest.mark.django_db(transaction=True)
async def test_an_unusable_connection_is_replaced_before_the_next_function() -> None:
    with override_settings(SEAWAY={"LAYER": "memory://", "THREADS": 1}):

        def break_it() -> None:
            connection.ensure_connection()
            connection.close_at = 0
            connection.errors_occurred = True

        def close_at() -> object:
            connection.ensure_connection()
            return connection.close_at

        await run_in_pool(break_it)
        assert await run_in_pool(close_at) != 0


async def test_looking_after_asynchronous_connections_takes_one_hop_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []
    monkeypatch.setattr(pool, "close_old_connections", lambda: looks.append(1))
    monkeypatch.setattr(pool._State, "looked_at", float("-inf"))
    for _ in range(50):
        await refresh_connections()
    assert 1 <= len(looks) < 50
