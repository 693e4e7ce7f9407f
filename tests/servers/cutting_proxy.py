"""A TCP proxy that a test can cut, or let hang: a network that fails.

What lives here: `CuttingProxy`, on the running loop. What must not: knowledge of any protocol.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress


class CuttingProxy:
    """Passes bytes between those who connect to `port` and a server.

    :ivar cut_after: of the bytes that go to the server, so many are passed on before the connection
        is cut, once; None: all.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.cut_after: int | None = None
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()

    async def start(self) -> CuttingProxy:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        self._open.set()

    def cut(self) -> None:
        """End all connections, without a word."""
        for writer in list(self._writers):
            transport = writer.transport
            transport.abort()

    def hang(self) -> None:
        """Pass nothing on, in either direction, and keep the connections."""
        self._open.clear()

    def go_on(self) -> None:
        self._open.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        both = {writer, to_server[1]}
        self._writers |= both
        try:
            await asyncio.gather(
                self._pass_on(reader, to_server[1], counted=True),
                self._pass_on(to_server[0], writer, counted=False),
            )
        finally:
            self._writers -= both
            for one in both:
                one.close()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._open.wait()
                if counted and self.cut_after is not None:
                    self.cut_after -= len(data)
                    if self.cut_after < 0:
                        writer.write(data[: self.cut_after])
                        await writer.drain()
                        self.cut_after = None
                        self.cut()
                        return
                writer.write(data)
                await writer.drain()
        with suppress(OSError):
            writer.close()
