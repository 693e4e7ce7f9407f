"""A cable forwards, holds, loses, refuses and breaks, as it is told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from soak.cable import Address, Cable, Mode

from tests.waiting import until


class Echo:
    """A server that says again what it hears, and remembers it."""

    def __init__(self) -> None:
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            self.heard += data
            writer.write(data)
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, Address]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    yield echo, server.sockets[0].getsockname()
    server.close()


class Counting(Cable):
    said = b""

    def passes(self, data: bytes) -> None:
        self.said += data


async def ended(reader: asyncio.StreamReader) -> None:
    """Wait for the connection's end, with a reset or without."""
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read(10) == b""


async def test_what_is_said_comes_through(echo: tuple[Echo, Address], tmp_path: Path) -> None:
    cable = Counting(echo[1])
    await cable.start(tmp_path / "socket")
    reader, writer = await asyncio.open_unix_connection(tmp_path / "socket")
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    assert cable.said == b"hello"
    writer.close()
    await cable.close()


async def test_a_cut_loses_in_silence_and_then_breaks(echo: tuple[Echo, Address]) -> None:
    server, address = echo
    cable = Cable(address)
    await cable.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
    writer.write(b"before ")
    assert await reader.readexactly(7) == b"before "
    cut = asyncio.create_task(cable.cut(0.3))
    await until(lambda: cable.mode is Mode.LOSING)
    writer.write(b"lost")
    await ended(reader)
    await cut
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
    writer.write(b"after")
    assert await reader.readexactly(5) == b"after"
    assert server.heard == b"before after"
    writer.close()
    await cable.close()


@pytest.fixture
async def cable(echo: tuple[Echo, Address]) -> AsyncIterator[Cable]:
    cable = await Cable(echo[1]).start()
    yield cable
    await cable.close()


async def test_what_is_held_comes_later_and_whole(echo: tuple[Echo, Address], cable: Cable) -> None:
    old_reader, old = await asyncio.open_connection("127.0.0.1", cable.port)
    old.write(b"a")
    assert await old_reader.readexactly(1) == b"a"
    cable.hold()
    new_reader, new = await asyncio.open_connection("127.0.0.1", cable.port)
    for writer in (old, new):
        writer.write(b"x" * 1_000_000)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await old_reader.read(1)
    assert echo[0].heard == b"a"
    cable.carry()
    assert await new_reader.readexactly(1_000_000) == b"x" * 1_000_000
    assert await old_reader.readexactly(1_000_000) == b"x" * 1_000_000
    old.close()
    new.close()


async def test_lost_answers_are_of_questions_that_came(
    echo: tuple[Echo, Address], cable: Cable
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
    cable.lose_answers()
    writer.write(b"unanswered ")
    await until(lambda: echo[0].heard == b"unanswered ")
    cable.reset()
    cable.carry()
    await ended(reader)
    writer.close()


async def test_who_is_refused_comes_in_later(cable: Cable) -> None:
    old_reader, old = await asyncio.open_connection("127.0.0.1", cable.port)
    old.write(b"a")
    assert await old_reader.readexactly(1) == b"a"
    cable.refuse()
    await ended(old_reader)
    reader, refused = await asyncio.open_connection("127.0.0.1", cable.port)
    await ended(reader)
    cable.carry()
    reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
    writer.write(b"b")
    assert await reader.readexactly(1) == b"b"
    for each in (old, refused, writer):
        each.close()


async def test_so_many_bytes_pass_before_it_breaks_once(
    echo: tuple[Echo, Address], cable: Cable
) -> None:
    cable.reset_after(6)
    reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
    writer.write(b"four")
    assert await reader.readexactly(4) == b"four"
    writer.write(b"more")
    await ended(reader)
    await until(lambda: echo[0].heard == b"fourmo")
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
    writer.write(b"again")
    assert await reader.readexactly(5) == b"again"
    writer.close()


async def test_without_a_server_a_connection_ends(tmp_path: Path) -> None:
    cable = Cable(tmp_path / "nobody")
    await cable.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
    await ended(reader)
    writer.close()
    await cable.close()
