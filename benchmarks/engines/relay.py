"""``python -m benchmarks.engines.relay PATH``: the bare Unix socket beside which the broker stands.

What lives here: a process that writes each 200 bytes that it reads to all who listen, and a byte
to who said them. What must not: anything else; that is the point.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import uvloop

from benchmarks.engines.parties import SIZE

_LISTENS = b"L" * SIZE


class _End(asyncio.Protocol):
    def __init__(self, listeners: set[asyncio.Transport]) -> None:
        self._listeners = listeners
        self._rest = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        whole = len(data) - len(data) % SIZE
        self._rest = data[whole:]
        if data[:whole] == _LISTENS:
            self._listeners.add(self._transport)
            self._transport.write(b".")
            return
        for at in range(0, whole, SIZE):
            for listener in self._listeners:
                listener.write(data[at : at + SIZE])
        self._transport.write(b"." * (whole // SIZE))

    def connection_lost(self, exc: Exception | None) -> None:
        self._listeners.discard(self._transport)


async def _serve(path: str) -> None:
    listeners: set[asyncio.Transport] = set()
    make: Callable[[], _End] = lambda: _End(listeners)  # noqa: E731  one word for the loop
    server = await asyncio.get_running_loop().create_unix_server(make, path)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.Runner(loop_factory=uvloop.new_event_loop).run(_serve(sys.argv[1]))
