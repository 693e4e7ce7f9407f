"""One connection to one server: operations out, messages in.

What lives here: the asyncio protocol around NATS' text protocol. What must not: reconnecting,
retrying, or what a message means; that is `engine`'s.

What is written in one turn of the loop goes out with one call.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast

#: A line that is longer is not of this protocol; the server's own limit is 4 KB, INFO's is larger.
MAX_LINE = 1024 * 1024


class LinkOwner(Protocol):
    """Who a link tells what happens to it."""

    def told(self, sid: int, subject: bytes, reply: bytes, header: bytes, data: bytes) -> None:
        """A message for one of our subscriptions."""

    def informed(self, link: Link, info: dict[str, Any]) -> None:
        """The server says what it is; at the beginning, and when its cluster has changed."""

    def refused(self, link: Link, reason: str) -> None:
        """The server did not do something; which, it does not say."""

    def lost(self, link: Link) -> None:
        """The connection is gone."""


class Link(asyncio.Protocol):
    """A connection from its making to its end.

    :ivar heard: when the last bytes came, by the loop's clock.
    :ivar trouble: why it ended.
    """

    def __init__(self, owner: LinkOwner) -> None:
        self.owner: LinkOwner | None = owner
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self._rest: list[bytes] = []
        self._have, self._need = 0, 0
        self._out: list[bytes] = []
        self._pongs: deque[Callable[[], None]] = deque()
        self.heard = self._loop.time()
        self.trouble = "the server hung up"

    @property
    def open(self) -> bool:
        return self.transport is not None and self.owner is not None

    # Writing -------------------------------------------------------------------------------------

    def write(self, *parts: bytes) -> None:
        """Write with what else is written in this turn of the loop."""
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out += parts

    def flush(self) -> None:
        out, self._out = self._out, []
        if out and self.transport is not None:
            self.transport.write(b"".join(out))

    def publish(self, subject: str, data: bytes, header: bytes = b"", reply: str = "") -> None:
        to = f"{subject} {reply}" if reply else subject
        size = len(header) + len(data)
        line = f"HPUB {to} {len(header)} {size}\r\n" if header else f"PUB {to} {size}\r\n"
        self.write(line.encode(), header, data, b"\r\n")

    def subscribe(self, sid: int, subject: str) -> None:
        self.write(f"SUB {subject} {sid}\r\n".encode())

    def unsubscribe(self, sid: int) -> None:
        self.write(f"UNSUB {sid}\r\n".encode())

    def ping(self, answered: Callable[[], None]) -> None:
        """``answered`` is called when the server has done all that was asked before."""
        self._pongs.append(answered)
        self.write(b"PING\r\n")

    def hang_up(self, trouble: str) -> None:
        """End it; the owner is told. Idempotent."""
        self.flush()
        owner = self.let_go()
        self.trouble = trouble
        if owner is not None:
            owner.lost(self)

    def let_go(self) -> LinkOwner | None:
        """End it without a word; returns whom else one would have told."""
        owner, self.owner = self.owner, None
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.close()
        return owner

    # What asyncio calls --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do what asyncio's do, but are none of them.
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self.trouble = str(exc) or type(exc).__name__
        if self.owner is not None:
            self.hang_up(self.trouble)

    def data_received(self, data: bytes) -> None:
        self.heard = self._loop.time()
        if self._rest:
            self._rest.append(data)
            self._have += len(data)
            if self._have < self._need:
                return
            data = b"".join(self._rest)
            self._rest = []
        try:
            used = self._take(data)
        except (ValueError, IndexError):
            self.hang_up("it does not speak the protocol of NATS")
            return
        if used < len(data):
            self._rest = [data[used:]]
            self._have = len(data) - used
        if self._have > self._need + MAX_LINE:
            self.hang_up("it does not speak the protocol of NATS")

    def _take(self, data: bytes) -> int:
        """Handle whole messages; returns how many bytes they were."""
        at, end = 0, len(data)
        self._have = self._need = 0
        while at < end and (eol := data.find(b"\r\n", at)) >= 0:
            owner = self.owner
            if owner is None:
                return end
            if data.startswith(b"HMSG ", at):
                words = data[at + 5 : eol].split()
                start = eol + 2
                body, stop = start + int(words[-2]), start + int(words[-1])
                reply = words[2] if len(words) == 5 else b""
            elif data.startswith(b"MSG ", at):
                words = data[at + 4 : eol].split()
                body = start = eol + 2
                stop = start + int(words[-1])
                reply = words[2] if len(words) == 4 else b""
            else:
                self._handle(data[at:eol])
                at = eol + 2
                continue
            if stop + 2 > end:
                self._need = stop + 2 - at
                break
            owner.told(int(words[1]), words[0], reply, data[start:body], data[body:stop])
            at = stop + 2
        return at

    def _handle(self, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        word = word.upper()
        if word == b"PING":
            self.write(b"PONG\r\n")
        elif word == b"PONG":
            if self._pongs:
                self._pongs.popleft()()
        elif word == b"INFO":
            info = json.loads(rest)
            if self.owner is not None:
                self.owner.informed(self, info)
        elif word == b"-ERR":
            if self.owner is not None:
                self.owner.refused(self, rest.decode("utf-8", "replace").strip(" '"))
        elif word != b"+OK":
            raise ValueError(f"not an operation of NATS: {line[:40]!r}")
