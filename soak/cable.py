"""The way between a client and a server, which can be hurt: in soaks, tests and benchmarks.

What lives here: `Cable`, a forwarder for TCP and Unix sockets on the running event loop.
What must not: knowledge of what is said over it.

A question goes to the server, an answer comes from it.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from pathlib import Path

#: A host and a port, or the path of a Unix socket.
Address = tuple[str, int] | Path


class Mode(Enum):
    """What a cable does with what is said."""

    CARRYING = "all is forwarded"
    HOLDING = "nothing is forwarded, and nothing is lost: both sides' buffers fill"
    LOSING = "all is lost, without a word"
    LOSING_ANSWERS = "questions are forwarded, answers are lost"
    REFUSING = "connections are reset as soon as they are made"


class Cable:
    """Forwards connections to an address until it is told otherwise.

    :ivar port: where it listens on the target's host, unless it was started on a path.
    :ivar mode: what it does now; to be changed by its verbs only.
    """

    #: How it is cut.
    kind = "proxy"

    def __init__(self, target: Address) -> None:
        self.port = 0
        self.mode = Mode.CARRYING
        self._target = target
        self._ends: set[_End] = set()
        self._dialling: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server
        #: Bytes of questions until the cable breaks.
        self._left: int | None = None

    async def start(self, at: Path | None = None) -> Cable:
        loop = asyncio.get_running_loop()
        if at is None:
            host = "127.0.0.1" if isinstance(self._target, Path) else self._target[0]
            self._server = await loop.create_server(self._accepted, host, 0)
            self.port = self._server.sockets[0].getsockname()[1]
        else:
            self._server = await loop.create_unix_server(self._accepted, str(at))
        return self

    async def close(self) -> None:
        self._server.close()
        self.reset()
        for task in self._dialling:
            task.cancel()
        await asyncio.gather(*self._dialling, return_exceptions=True)

    # What it is told -----------------------------------------------------------------------------

    def carry(self) -> None:
        """Forward all, what was held included."""
        self._turn(Mode.CARRYING)

    def hold(self) -> None:
        """Forward nothing for now, on connections that there are and on new ones."""
        self._turn(Mode.HOLDING)

    def lose(self) -> None:
        """Lose what is said in either direction."""
        self._turn(Mode.LOSING)

    def lose_answers(self) -> None:
        """Lose what the server says: things are done, and nobody is told."""
        self._turn(Mode.LOSING_ANSWERS)

    def refuse(self) -> None:
        """Reset all connections, and new ones at once."""
        self._turn(Mode.REFUSING)
        self.reset()

    def reset(self) -> None:
        """Break every connection that there is; new ones can be made."""
        for end in list(self._ends):
            end.transport.abort()

    def reset_after(self, size: int) -> None:
        """Forward ``size`` more bytes of questions, and then `reset`, once."""
        self._left = size

    async def cut(self, seconds: float) -> None:
        """Lose everything for so long, without a word, and then break all connections."""
        self.lose()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.reset()
            self.carry()

    def passes(self, data: bytes) -> None:
        """An answer, or a part of one, that is let through: for who counts."""

    # How it is done ------------------------------------------------------------------------------

    def _turn(self, mode: Mode) -> None:
        self.mode = mode
        for end in list(self._ends):
            end.pace()

    def _accepted(self) -> _End:
        return _End(self, self._ends, answers=False)

    def dial(self, near: _End) -> None:
        """Connect a client to the server."""
        task = asyncio.get_running_loop().create_task(self._dial(near))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _dial(self, near: _End) -> None:
        loop, far = asyncio.get_running_loop(), _End(self, self._ends, answers=True)
        try:
            if isinstance(self._target, Path):
                await loop.create_unix_connection(lambda: far, str(self._target))
            else:
                await loop.create_connection(lambda: far, *self._target)
        except OSError:
            near.transport.abort()
            return
        near.join(far)

    def spend(self, data: bytes) -> tuple[bytes, bool]:
        """As much of a question as may pass, and whether the cable breaks behind it."""
        if self._left is None:
            return data, False
        allowed, self._left = data[: self._left], self._left - len(data)
        if self._left >= 0:
            return data, False
        self._left = None
        return allowed, True


class _End(asyncio.Protocol):
    """One of the two connections of a forwarded one: the client's, or the server's, which says
    the answers."""

    def __init__(self, cable: Cable, ends: set[_End], *, answers: bool) -> None:
        self._cable = cable
        self._ends = ends
        self._answers = answers
        self._other: _End | None = None
        #: What has come and cannot be forwarded yet.
        self._waiting: list[bytes] = []
        #: Whether the other end takes no more for now.
        self._full = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream socket
        self.transport = transport
        if self._cable.mode is Mode.REFUSING:
            transport.abort()
            return
        self._ends.add(self)
        self.pace()
        if not self._answers:
            self._cable.dial(self)

    def join(self, far: _End) -> None:
        """Both are connected: forward from one to the other."""
        self._other, far._other = far, self
        for one in (self, far):
            one.pace()
            if one.transport.is_closing():
                far.transport.abort()
                self.transport.abort()

    def pace(self) -> None:
        """Forward what waits and read on, or leave what comes where it is."""
        if self.transport.is_closing():
            return
        held = self._cable.mode is Mode.HOLDING
        if self._other is not None and not held:
            waiting, self._waiting = self._waiting, []
            for data in waiting:
                self._forward(data, self._other.transport)
        if held or self._full:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._other is None or self._cable.mode is Mode.HOLDING:
            self._waiting.append(data)
        else:
            self._forward(data, self._other.transport)

    def _forward(self, data: bytes, to: asyncio.Transport) -> None:
        mode = self._cable.mode
        if self._answers:
            if mode is Mode.CARRYING:
                self._cable.passes(data)
                to.write(data)
        elif mode is not Mode.LOSING:
            data, last = self._cable.spend(data)
            to.write(data)
            if last:
                self._cable.reset()

    def pause_writing(self) -> None:
        self._press(True)

    def resume_writing(self) -> None:
        self._press(False)

    def _press(self, full: bool) -> None:
        if self._other is not None:
            self._other._full = full
            self._other.pace()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ends.discard(self)
        if self._other is not None:
            self._other.transport.close()
