"""A cable forwards, loses what is said while it is cut, and breaks its connections then."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from soak.cable import Address, Cable

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
    await until(lambda: cable.dropping)
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


async def test_without_a_server_a_connection_ends(tmp_path: Path) -> None:
    cable = Cable(tmp_path / "nobody")
    await cable.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", cable.port)
    await ended(reader)
    writer.close()
    await cable.close()
