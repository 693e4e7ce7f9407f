"""The database from asynchronous code."""

import contextlib
import threading
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import transaction
from django.db.utils import ConnectionHandler
from django.test import TestCase

from seaway import db
from seaway.pool import tidying


async def test_connections_are_looked_after_before_and_after() -> None:
    said: list[str] = []

    def work(value: int) -> int:
        said.append("work")
        assert threading.current_thread() is not threading.main_thread()
        return value + 1

    def close() -> None:
        said.append("close")

    with mock.patch.object(db, "close_idle_connections", close):
        assert await db.database_sync_to_async(work)(1) == 2
        assert said == ["close", "work", "close"]
        await db.aclose_old_connections()
    assert said[3:] == ["close"]


@pytest.mark.django_db
async def test_it_decorates_functions_and_methods() -> None:
    class Thing:
        @db.database_sync_to_async
        def double(self, value: int) -> int:
            return value * 2

    @db.database_sync_to_async
    def triple(value: int) -> int:
        return value * 3

    double: Any = Thing().double
    assert (await double(2), await triple(2)) == (4, 6)


class TransactionTests(TestCase):
    async def test_it_runs_in_the_transaction_of_the_test(self) -> None:
        await db.database_sync_to_async(User.objects.create)(username="ann")
        assert await User.objects.acount() == 1


@pytest.mark.django_db
async def test_a_connection_inside_a_transaction_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a file: one in memory, as the tests' own, is never closed. Under `TestCase` it is so.
    engine = {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "db", "CONN_MAX_AGE": 0}
    mine = ConnectionHandler({"default": engine})
    monkeypatch.setattr(tidying, "connections", mine)
    monkeypatch.setattr(transaction, "connections", mine)

    def begin() -> None:
        atomic = transaction.atomic()
        atomic.__enter__()
        stack.push(atomic)

    @db.database_sync_to_async
    def ask() -> Any:
        with mine["default"].cursor() as cursor:
            return cursor.execute("SELECT 1").fetchone()[0]

    @sync_to_async
    def is_open() -> bool:
        return mine["default"].connection is not None

    stack = contextlib.ExitStack()
    await sync_to_async(begin)()
    assert await ask() == 1
    await db.aclose_old_connections()
    assert await ask() == 1  # a closed one says so now
    await sync_to_async(stack.close)()
    assert await is_open()
    await db.aclose_old_connections()
    assert not await is_open()
