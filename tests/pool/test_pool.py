"""The pool: synchronous code off the loop, in few threads, with clean connections."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.test import override_settings
from pytest_django import DjangoDbBlocker

from seaway import pool
from seaway.pool import refresh_connections, run_in_pool, thread_sensitive, tidying

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


@pytest.mark.django_db(transaction=True)
async def test_thread_sensitive_code_runs_where_asynchronous_database_code_runs() -> None:
    with thread_sensitive():
        here = await run_in_pool(threading.get_ident)
    assert here == await sync_to_async(threading.get_ident)()
    assert here != await run_in_pool(threading.get_ident)


@pytest.fixture
def file_database(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A database whose connections do close; those of SQLite in memory do not."""
    connections.databases["file"] = {
        **connections.databases["default"],
        "NAME": str(tmp_path / "db.sqlite3"),
        "TEST": {},
    }
    with django_db_blocker.unblock():
        yield "file"
    del connections.databases["file"]


async def test_connections_are_closed_after_a_function_that_may_not_keep_them(
    file_database: str,
) -> None:
    """CONN_MAX_AGE is 0 here: as after a request, nothing stays open."""

    def use() -> bool:
        connections[file_database].ensure_connection()
        return connections[file_database].connection is not None

    def is_open() -> bool:
        return connections[file_database].connection is not None

    with override_settings(SEAWAY={"LAYER": "memory://", "THREADS": 1}):
        assert await run_in_pool(use)
        assert not await run_in_pool(is_open)


@pytest.mark.parametrize("shortcut", [True, False], ids=["by asgiref", "by Django"])
async def test_a_thread_knows_whether_it_has_connections(
    file_database: str, shortcut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways: asgiref may keep them elsewhere one day."""
    assert isinstance(tidying._kept, threading.local)
    if not shortcut:
        monkeypatch.setattr(tidying, "_kept", None)

    def use() -> bool:
        connections[file_database].ensure_connection()
        return tidying.has_none()

    def forget() -> None:
        connections.close_all()
        del connections[file_database]

    with override_settings(SEAWAY={"LAYER": "memory://", "THREADS": 1}):
        assert await run_in_pool(tidying.has_none)
        assert not await run_in_pool(use)
        assert not await run_in_pool(tidying.has_none)
        await run_in_pool(forget)
        assert await run_in_pool(tidying.has_none)


async def test_a_persistent_connection_stays_until_it_is_too_old(file_database: str) -> None:
    connections.databases[file_database]["CONN_MAX_AGE"] = 3600

    def use() -> int:
        connections[file_database].ensure_connection()
        return id(connections[file_database].connection)

    def is_open() -> bool:
        return connections[file_database].connection is not None

    def age() -> None:
        connections[file_database].close_at = 0

    with override_settings(SEAWAY={"LAYER": "memory://", "THREADS": 1}):
        first = await run_in_pool(use)
        assert await run_in_pool(use) == first
        await run_in_pool(age)
        assert not await run_in_pool(is_open)


async def test_looking_after_asynchronous_connections_takes_one_hop_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []
    monkeypatch.setattr(pool, "close_idle_connections", lambda: looks.append(1))
    monkeypatch.setattr(pool._State, "looked_at", float("-inf"))
    for _ in range(50):
        await refresh_connections()
    assert 1 <= len(looks) < 50
