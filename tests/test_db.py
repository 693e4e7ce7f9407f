"""The database from asynchronous code."""

import threading
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.test import TestCase

from seaway import db


async def test_connections_are_looked_after_before_and_after() -> None:
    said: list[str] = []

    def work(value: int) -> int:
        said.append("work")
        assert threading.current_thread() is not threading.main_thread()
        return value + 1

    def close() -> None:
        said.append("close")

    with mock.patch.object(db, "close_old_connections", close):
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
