"""One kept connection: requests wait for it, and are asked again when it was lost.

What lives here: `Pipe` and `Request`: reconnecting with back-off, time-outs, signs of life.
What must not: to which server a request belongs, or what its answer means.

Requests are written in the order in which they were made. Those that a lost connection left without
an answer are asked again first, in their order, with "1" as their last part: the scripts know by
it that they may have run already, and answer as they did then.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from seaway.exceptions import ConfigurationError, LayerUnavailable
from seaway.layers.redis.dial import Unreachable
from seaway.layers.redis.link import Link, LinkOwner

logger = logging.getLogger("seaway.layers")

#: Seconds between attempts to reconnect: the first wait and the longest.
FIRST_DELAY, LAST_DELAY = 0.05, 1.0
#: Seconds of silence after which a server is asked for a sign of life, and given up.
BEAT_SECONDS, SILENT_SECONDS = 1.0, 4.0
#: Seconds between two ticks after which this process itself stood still.
LATE_SECONDS = 1.0


class Rerouted(Exception):
    """The server no longer serves this request's slot; it has to be asked elsewhere."""


class Request(msgspec.Struct, eq=False):
    """A packed command whose last part is "0", or "1" when it is asked again.

    :ivar orphaned: called with an answer that comes when nobody waits for it any more.
    :ivar asking: it follows an ASK redirection.
    """

    frame: bytes
    future: asyncio.Future[Any]
    deadline: float
    orphaned: Callable[[Any], None] | None = None
    asking: bool = False
    again: bool = False

    @property
    def wanted(self) -> bool:
        """Whether somebody waits; or may have been given something without getting it."""
        return not self.future.done() or (self.orphaned is not None and self.again)

    def ask_again(self) -> None:
        """It may have been carried out: from now on it says so."""
        self.again = True
        self.frame = asked_again(self.frame)

    def answer(self, answer: Any) -> None:
        if not self.future.done():
            self.future.set_result(answer)
        elif self.orphaned is not None:
            self.orphaned(answer)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def asked_again(frame: bytes) -> bytes:
    """A packed command with "1" as its last part, which is "0" or "1"."""
    return frame[:-3] + b"1\r\n"


class PipeOwner(LinkOwner, Protocol):
    """Who a pipe tells what happens to it."""

    def up(self, pipe: Pipe) -> None:
        """There is a new connection; what it has to be told first can be said now."""

    def down(self, pipe: Pipe) -> None:
        """The connection was lost."""


class Pipe:
    """A connection that comes back.

    :param dial: opens one; for each attempt it may be to another server.
    """

    def __init__(
        self, dial: Callable[[LinkOwner], Awaitable[Link]], owner: PipeOwner, name: str
    ) -> None:
        self._dial = dial
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self.name = name
        self.link: Link | None = None
        self.trouble = "not connected yet"
        self._waiting: deque[Request] = deque()
        self._written: deque[Request] = deque()
        self._mending: asyncio.Task[None] | None = None
        self._transports: list[object] = []
        self._closed = False
        self._next_beat = 0.0
        self._ticked = 0.0
        self._heard = (0, 0.0)

    # Life ----------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """The first connection, once.

        :raises Unreachable, ConfigurationError: as `Dialer.dial`.
        """
        self._connected(await self._dial(self))

    def mend(self) -> None:
        """Connect in the background until it works."""
        if self._mending is None and not self._closed and self.link is None:
            self._mending = self._loop.create_task(self._mend())

    async def close(self) -> None:
        """Fail what waits and hang up. Idempotent."""
        self.retire(LayerUnavailable("The layer was closed meanwhile."))
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.wait([self._mending])

    def retire(self, error: Exception) -> None:
        """End without waiting; requests fail with ``error``."""
        self._closed = True
        if self._mending is not None:
            self._mending.cancel()
        link, self.link = self.link, None
        if link is not None:
            link.close()
        for request in [*self._written, *self._waiting]:
            request.fail(error)
        self._written.clear()
        self._waiting.clear()

    def forked(self) -> None:
        self._closed = True
        if self.link is not None:
            # Kept for ever: its destructor would close the descriptor within the parent's loop.
            self._transports.append(self.link.forked())

    # Requests ------------------------------------------------------------------------------------

    def ask(self, request: Request) -> None:
        """Write it now, or as soon as there is a connection."""
        if self._closed:
            request.fail(Rerouted())
        elif self.link is None or self._waiting:
            self._waiting.append(request)
        else:
            self._write(self.link, request)

    def _write(self, link: Link, request: Request) -> None:
        if request.asking:
            link.ask(_ignore, b"ASKING")
        self._written.append(request)
        link.write(self._answered, request.frame)

    def _answered(self, answer: Any) -> None:
        # Answers come in the order of their requests.
        self._written.popleft().answer(answer)

    def tick(self, now: float) -> None:
        """Called several times a second: time out, look for signs of life."""
        for queue in (self._written, self._waiting):
            for request in queue:
                if request.deadline <= now and not request.future.done():
                    request.fail(LayerUnavailable(self._late()))
        while self._waiting and not self._waiting[0].wanted:
            self._waiting.popleft()
        link = self.link
        late, self._ticked = now - self._ticked > LATE_SECONDS, now
        if late:
            # This process stood still itself: what the server said is still to be read.
            self._heard = (self._heard[0], now)
        if link is None or now < self._next_beat:
            return
        self._next_beat = now + BEAT_SECONDS
        if link.heard != self._heard[0]:
            self._heard = (link.heard, now)
        elif now - self._heard[1] > SILENT_SECONDS:
            link.abort(f"it was silent for {SILENT_SECONDS:g} s")
            return
        link.ask(_ignore, b"PING")

    def _late(self) -> str:
        if self.link is not None:
            return f"{self.name} did not answer in time."
        return f"{self.name} cannot be reached: {self.trouble.rstrip('.')}."

    # Connecting ----------------------------------------------------------------------------------

    def _connected(self, link: Link) -> None:
        if self._closed or not link.open:
            link.close()
            raise Unreachable(f"{self.name} hung up after the greeting")
        self.link = link
        now = self._loop.time()
        self._heard = (link.heard, now)
        self._next_beat = now + BEAT_SECONDS
        self._owner.up(self)
        waiting, self._waiting = self._waiting, deque()
        for request in waiting:
            if request.wanted:
                self._write(link, request)

    async def _mend(self) -> None:
        delay = FIRST_DELAY
        said = ""
        while not self._closed:
            try:
                self._connected(await self._dial(self))
            except (Unreachable, ConfigurationError) as error:
                self.trouble = str(error)
                if said != self.trouble:
                    said = self.trouble
                    logger.warning("%s cannot be reached: %s", self.name, said)
            except Exception:
                logger.exception("connecting to %s failed", self.name)
            else:
                break
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311  spreads attempts
            delay = min(LAST_DELAY, delay * 2)
        self._mending = None

    # link.LinkOwner ------------------------------------------------------------------------------

    def told(self, channel: bytes, data: bytes) -> None:
        self._owner.told(channel, data)

    def dropped(self, channel: bytes) -> None:
        self._owner.dropped(channel)

    def lost(self, link: Link) -> None:
        """LinkOwner: reconnect, and ask again what was asked."""
        if link is not self.link:
            return
        self.link = None
        self.trouble = link.trouble
        for request in self._written:
            request.ask_again()
        self._waiting.extendleft(request for request in reversed(self._written) if request.wanted)
        self._written.clear()
        self._owner.down(self)
        self.mend()


def _ignore(answer: Any) -> None:
    """An answer that only shows that the server is there."""
