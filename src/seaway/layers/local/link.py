"""One connection to the embedded broker, from greeting to loss.

What lives here: `Link`, the asyncio side of the client's wire.
What must not: which requests are made and what is done again after a loss; that is `client`'s.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Protocol, cast

from seaway.exceptions import ProtocolError
from seaway.layers.local import frames, wire

logger = logging.getLogger("seaway.layers")


class LinkOwner(Protocol):
    """Who a link reports to."""

    def replied(self, reply: wire.Answer | wire.News) -> None:
        """One message of the broker, in order."""

    def lost(self, link: Link) -> None:
        """The connection is gone; the last call."""


class Link(asyncio.Protocol):
    """A connection that greets by itself. ``welcomed`` is done when requests may be written, and
    has the broker's greeting."""

    __slots__ = ("_client", "_lease", "_owner", "_parser", "_transport", "gone", "welcomed")

    def __init__(self, owner: LinkOwner, lease: float, client: str) -> None:
        loop = asyncio.get_running_loop()
        self._owner = owner
        self._lease = lease
        self._client = client
        self._parser = wire.replies()
        self._transport: asyncio.Transport | None = None
        self.welcomed: asyncio.Future[wire.Welcome] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()

    @property
    def open(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        hello = wire.Hello(wire.WIRE_VERSION, self._lease, self._client)
        self._transport.write(frames.frame(hello))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.welcomed.done():
            self.welcomed.set_exception(ConnectionResetError("The broker hung up at the greeting."))
            self.welcomed.exception()  # read here: whoever waited may have given up
        self._owner.lost(self)
        if not self.gone.done():
            self.gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            for reply in self._parser.feed(data):
                if isinstance(reply, wire.Welcome):
                    if not self.welcomed.done():
                        self.welcomed.set_result(reply)
                else:
                    self._owner.replied(reply)
        except ProtocolError as error:
            logger.error("the broker broke the protocol: %s", error.reason)
            self.abort()

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        """Give the connection up; the owner learns of it by ``lost``."""
        if self._transport is not None:
            self._transport.abort()

    async def close(self, patience: float) -> None:
        """Send what is buffered, hang up, and wait until that has happened."""
        if self._transport is not None:
            self._transport.close()
            await asyncio.wait([self.gone], timeout=patience)
            self.abort()

    def forked(self) -> None:
        """In a forked child: let go of the parent's socket, so that the broker sees the parent's
        end. The number stays taken by /dev/null: whatever closes it later closes nothing else."""
        if self._transport is not None:
            inherited = self._transport.get_extra_info("socket").fileno()
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, inherited)
            os.close(null)
