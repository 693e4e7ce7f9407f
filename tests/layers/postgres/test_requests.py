"""Attempts of one request overtake each other: it is done once, and both learn of the same."""

from __future__ import annotations

import asyncio
import uuid

import psycopg
import pytest
from psycopg import errors

from seaway.layers.base import Position
from seaway.layers.postgres.layer import PostgresLayer
from seaway.layers.postgres.statements import PUBLISH_ONE
from seaway.layers.postgres.values import number, text
from seaway.testing.contract_support import TOPIC, Process
from tests.layers.postgres.support import processes
from tests.servers.postgres import PostgresServer

REQUEST = uuid.UUID(int=7)


def attempt(namespace: str, *, again: bool) -> str:
    """The statement of one attempt, as the server may begin it at any time."""
    return (
        f"SELECT * FROM \"{namespace}\".publish_one('{REQUEST}', {again}, '{TOPIC}', "
        "'\\x6f6e6365', 1, 100, 60)"
    )


async def ask_again(here: Process) -> Position:
    """What a process asks that lost the connection under its first attempt."""
    assert isinstance(here.layer, PostgresLayer)
    values = (REQUEST.bytes, True, TOPIC, b"once", 1, 100, 60.0)
    answer = await here.layer._publishing.line.ask(PUBLISH_ONE, *values)
    return Position(text(answer.get_value(0, 0) or b""), number(answer.get_value(0, 1)))


async def test_an_attempt_that_begins_after_its_repeat_is_refused(
    postgres: PostgresServer, namespace: str
) -> None:
    [here] = await processes(postgres.url(), namespace, 1)
    done = await ask_again(here)
    assert done.offset == 1
    with pytest.raises(errors.UniqueViolation):
        postgres.run(attempt(namespace, again=False))
    assert await ask_again(here) == done
    assert await here.layer.publish(TOPIC, b"next") == Position(done.epoch, 2)
    await here.layer.close()


async def test_a_repeat_waits_for_an_attempt_that_is_being_done(
    postgres: PostgresServer, namespace: str
) -> None:
    [here] = await processes(postgres.url(), namespace, 1)
    with psycopg.connect(postgres.url()) as connection:
        cursor = connection.execute(attempt(namespace, again=False).encode())
        first = cursor.fetchone()
        repeat = asyncio.create_task(ask_again(here))
        _, waits = await asyncio.wait([repeat], timeout=0.3)
        assert waits
        connection.commit()
    found = await repeat
    assert (found.epoch, found.offset) == first
    assert await here.layer.publish(TOPIC, b"next") == Position(found.epoch, 2)
    await here.layer.close()


async def test_a_repeat_does_what_an_attempt_has_given_up(
    postgres: PostgresServer, namespace: str
) -> None:
    [here] = await processes(postgres.url(), namespace, 1)
    with psycopg.connect(postgres.url()) as connection:
        connection.execute(attempt(namespace, again=False).encode())
        repeat = asyncio.create_task(ask_again(here))
        await asyncio.wait([repeat], timeout=0.3)
        connection.rollback()
    assert (await repeat).offset == 1
    await here.layer.close()
