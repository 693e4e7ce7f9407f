"""A TCP proxy between a client and a server that can hurt what passes.

What lives here: `Proxy`, on the running event loop. What must not: knowledge of any protocol.
"""

from __future__ import annotations

import asyncio
import contextlib


class Proxy:
    """Forwards to a port of 127.0.0.1 until told otherwise.

    :ivar swallowing: whether what the server says is dropped.
    :ivar holding: whether nothing passes in either direction, as over a cut cable.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.swallowing = False
        self.holding = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> Proxy:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def cut(self) -> None:
        """Break all connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        for source, sink, from_server in ((reader, there, False), (there_reader, writer, True)):
            self._writers.add(sink)
            task = asyncio.create_task(self._forward(source, sink, from_server=from_server))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, from_server: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if not self.holding and not (from_server and self.swallowing):
                    sink.write(data)
                    await sink.drain()
        sink.transport.abort()
        self._writers.discard(sink)
