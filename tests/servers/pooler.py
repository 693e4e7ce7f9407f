"""A connection pooler before a PostgreSQL, as PgBouncer is one: in session or in transaction mode.

What lives here: `Pooler`. What must not: tests.

In transaction mode a client has a connection of the server from the first message of a transaction
to its end, and the one that was given back last is given out first. What the server says unasked,
as notifications, goes to whoever has the connection, else to nobody. Clients need no password.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from psycopg import pq

#: SSLRequest and GSSENCRequest instead of a version.
_ENCRYPTION = {80877103, 80877104}
_READY, _IDLE = b"Z", b"I"
#: After each of these the server says once that it is ready.
_ASKING = {b"Q", b"S"}
_GREETING = {
    "server_version": "17.0",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "default_transaction_read_only": "off",
    "in_hot_standby": "off",
}

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Pooler:
    """Listens on a port of its own.

    :param url: of the server.
    :param by_transaction: the mode; else by session.
    """

    def __init__(self, url: str, *, by_transaction: bool) -> None:
        self._url = url
        self._by_transaction = by_transaction
        self._free: list[_Streams] = []
        self._all: list[asyncio.StreamWriter] = []
        self._logged_in: list[pq.abc.PGconn] = []
        self.port = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Serve meanwhile; gives an address for ``LAYER``."""
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield f"postgres://seaway@127.0.0.1:{self.port}/postgres?sslmode=disable"
        finally:
            server.close()
            for writer in self._all:
                writer.close()
            for connection in self._logged_in:
                connection.finish()

    async def _take(self) -> _Streams:
        if self._free:
            return self._free.pop()
        # libpq logs in; from then on, it is a socket as any other.
        connection = await asyncio.to_thread(pq.PGconn.connect, self._url.encode())
        assert connection.status == pq.ConnStatus.OK, connection.error_message
        own = socket.socket(fileno=os.dup(connection.socket))
        streams = await asyncio.open_connection(sock=own)
        self._logged_in.append(connection)
        self._all.append(streams[1])
        return streams

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._all.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await _greet(reader, writer)
            await _Session(self._take, self._free, self._by_transaction).run(reader, writer)
        writer.close()


class _Session:
    """One client."""

    def __init__(
        self, take: Callable[[], Awaitable[_Streams]], free: list[_Streams], by_transaction: bool
    ) -> None:
        self._take = take
        self._free = free
        self._by_transaction = by_transaction
        self._server: _Streams | None = None
        self._asked = 0
        self._relaying: asyncio.Task[None] | None = None

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                kind, message = await _message(reader)
                if kind == b"X":
                    return
                if self._server is None:
                    self._server = await self._take()
                    self._relaying = asyncio.create_task(self._relay(self._server, writer))
                self._asked += kind in _ASKING
                self._server[1].write(message)
        finally:
            if self._relaying is not None:
                self._relaying.cancel()
            if self._server is not None:
                self._server[1].close()

    async def _relay(self, server: _Streams, writer: asyncio.StreamWriter) -> None:
        """The server's answers, to the end of a transaction, or of the session."""
        while True:
            kind, message = await _message(server[0])
            writer.write(message)
            if kind == _READY:
                self._asked -= 1
                over = message[-1:] == _IDLE and not self._asked
                if over and self._by_transaction:
                    self._server = None
                    self._free.append(server)
                    return


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        body = await reader.readexactly(length - 4)
        if struct.unpack_from("!I", body)[0] not in _ENCRYPTION:
            break
        writer.write(b"N")
    writer.write(_packed(b"R", struct.pack("!I", 0)))
    for name, value in _GREETING.items():
        writer.write(_packed(b"S", f"{name}\0{value}\0".encode()))
    # The number of a process that there is not, as PgBouncer's.
    writer.write(_packed(b"K", struct.pack("!II", 0x7FFF_0000, 1)))
    writer.write(_packed(_READY, _IDLE))


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body
