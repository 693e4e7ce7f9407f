"""The way between one process and an engine, which can be cut.

What lives here: `Cable`, a forwarder for TCP and Unix sockets on the running event loop.
What must not: knowledge of what is said over it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

#: A host and a port, or the path of a Unix socket.
Address = tuple[str, int] | Path


class Cable:
    """Forwards connections to an address.

    :ivar port: where it listens on the target's host, unless it was started on a path.
    :ivar dropping: whether what is said, in either direction, is lost on the way.
    """

    #: How it is cut.
    kind = "proxy"

    def __init__(self, target: Address) -> None:
        self.port = 0
        self.dropping = False
        self._target = target
        self._ends: set[_End] = set()
        self._dialling: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    async def start(self, at: Path | None = None) -> None:
        loop = asyncio.get_running_loop()
        if at is None:
            host = "127.0.0.1" if isinstance(self._target, Path) else self._target[0]
            self._server = await loop.create_server(self._accepted, host, 0)
            self.port = self._server.sockets[0].getsockname()[1]
        else:
            self._server = await loop.create_unix_server(self._accepted, str(at))

    async def cut(self, seconds: float) -> None:
        """Lose everything for so long, without a word, and then break all connections."""
        self.dropping = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self._break()
            self.dropping = False

    def passes(self, data: bytes) -> None:
        """What the engine says and is let through: for who counts."""

    async def close(self) -> None:
        self._server.close()
        self._break()
        for task in self._dialling:
            task.cancel()
        await asyncio.gather(*self._dialling, return_exceptions=True)

    def _break(self) -> None:
        for end in list(self._ends):
            end.transport.abort()

    def _accepted(self) -> _End:
        return _End(self, self._ends, self._begin)

    def _begin(self, near: _End) -> None:
        task = asyncio.get_running_loop().create_task(self._dial(near))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _dial(self, near: _End) -> None:
        loop, far = asyncio.get_running_loop(), _End(self, self._ends, lambda _: None)
        try:
            if isinstance(self._target, Path):
                await loop.create_unix_connection(lambda: far, str(self._target))
            else:
                await loop.create_connection(lambda: far, *self._target)
        except OSError:
            near.transport.abort()
            return
        near.join(far)


class _End(asyncio.Protocol):
    """One of the two connections of a forwarded one."""

    def __init__(self, cable: Cable, ends: set[_End], begin: Callable[[_End], None]) -> None:
        self._cable = cable
        self._begin = begin
        self._ends = ends
        self._other: _End | None = None
        self._far = False
        self._early: list[bytes] = []
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream socket
        self.transport = transport
        self._ends.add(self)
        self._begin(self)

    def join(self, far: _End) -> None:
        """Both are connected: forward from one to the other."""
        self._other, far._other = far, self
        far._far = True
        for one in (self, far):
            for data in one._early:
                one.data_received(data)
            one._early.clear()
            if one.transport.is_closing():
                far.transport.abort()
                self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._early.append(data)
        elif not self._cable.dropping:
            if self._far:
                self._cable.passes(data)
            self._other.transport.write(data)

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ends.discard(self)
        if self._other is not None:
            self._other.transport.close()
