"""The connection to the servers of one address: kept up, with requests and subscriptions on it.

What lives here: `Engine`: one per layer; reconnecting, subscriptions, asking.
What must not: waiting for answers (`requests`), or JetStream (`jetstream`).

Subscriptions outlive a connection: they are placed on the next before anything else. Requests do
not: who waits for an answer is told that the connection was lost, and asks again where that is
harmless.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from seaway.exceptions import ConfigurationError, LayerError, LayerUnavailable
from seaway.layers.background import Background
from seaway.layers.flaws import Flaws
from seaway.layers.nats.address import Address, endpoint
from seaway.layers.nats.clock import Clock
from seaway.layers.nats.dial import Unreachable, dial
from seaway.layers.nats.link import Link
from seaway.layers.nats.requests import Message, NoAnswer, NobodyThere, Requests

logger = logging.getLogger("seaway.layers")

#: Seconds between looks at time-outs and signs of life.
TICK_SECONDS = 0.2
#: Seconds of silence after which the server is asked for a sign of life, and then given up.
QUIET_SECONDS, SILENT_SECONDS = 2.0, 5.0
#: Seconds for one attempt to connect, and between two.
DIAL_SECONDS, PAUSE_SECONDS = 2.0, 0.1

#: Takes what comes on a subscription, at once; must not block.
Heard = Callable[[Message], None]


class Engine:
    """The servers of one address, as one.

    :param reconnected: awaited after each connection but the first, before anything else is done on
        it; a `LayerError` from it ends the connection again.
    """

    def __init__(
        self, address: Address, timeout: float, reconnected: Callable[[], Awaitable[None]]
    ) -> None:
        self.address = address
        self.timeout = timeout
        #: This process, among all that use the engine.
        self.process = secrets.token_hex(8)
        self.info: dict[str, Any] = {}
        self.flaws = Flaws(address.describe)
        self.trouble = "not started"
        self.last_error = ""
        self._reconnected = reconnected
        self._endpoints = list(address.endpoints)
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._subscriptions: dict[int, tuple[str, Heard]] = {}
        self._last_sid = 0
        self.requests = Requests()
        self._ticker: asyncio.TimerHandle | None = None
        self._background = Background(_failed)
        #: Run something in the background; it ends with the engine.
        self.spawn = self._background.spawn
        self._asked = 0.0

    # Life ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect within the time-out.

        :raises ConfigurationError, LayerUnavailable: in words for the operator.
        """
        self.loop = asyncio.get_running_loop()
        self.clock = Clock(self.loop)
        self.subscribe(self.requests.subject, self.requests.answered)
        deadline = self.loop.time() + self.timeout
        while True:
            try:
                await self._connect()
                break
            except Unreachable as error:
                if self.loop.time() > deadline:
                    message = f"The NATS of LAYER cannot be reached: {error}."
                    raise LayerUnavailable(message) from error
            await asyncio.sleep(PAUSE_SECONDS)
        self.trouble = ""
        self._tick()

    async def close(self) -> None:
        """Hang up. Idempotent."""
        self.trouble = "closed"
        if self._ticker is not None:
            self._ticker.cancel()
        link, self._link = self._link, None
        if link is not None:
            link.flush()
            link.let_go()
        self.requests.lose()
        self._up.set()
        await self._background.end()

    def forked(self) -> None:
        """Let go of the parent's connection without a word to the server."""
        self.trouble = "left behind by a fork"
        link, self._link = self._link, None
        transport = link.transport if link is not None else None
        if link is not None and transport is not None:
            link.owner = link.transport = None
            sock = transport.get_extra_info("socket")
            if sock is not None:
                os.close(sock.fileno())

    def opened(self) -> None:
        """:raises LayerUnavailable: it is not started, or closed."""
        if self.trouble:
            raise LayerUnavailable(f"The layer is {self.trouble}.")

    # Connections ---------------------------------------------------------------------------------

    async def _connect(self) -> None:
        where = self._endpoints.pop(0)
        self._endpoints.append(where)
        link, info = await dial(self.address, where, self, DIAL_SECONDS)
        self.informed(link, info)
        for sid, (subject, _) in self._subscriptions.items():
            link.subscribe(sid, subject)
        self._link = link
        self._asked = 0.0
        self._up.set()

    async def _reconnect(self) -> None:
        pause = 0.0
        while self._link is None and not self.trouble:
            await asyncio.sleep(pause)
            pause = min(1.0, pause + PAUSE_SECONDS)
            try:
                await self._connect()
            except (Unreachable, ConfigurationError) as error:
                # What the configuration lacks, an operator at the server may put right.
                self.last_error = str(error)
        if self._link is not None:
            logger.info("connected to %s again", self.address.describe())
            link = self._link
            try:
                await self._reconnected()
            except (LayerError, NoAnswer, NobodyThere) as error:
                self.last_error = str(error)
                link.hang_up(str(error))

    def lost(self, link: Link) -> None:
        if link is not self._link:
            return
        self._link = None
        self._up.clear()
        self.last_error = link.trouble
        self.requests.lose()
        if not self.trouble:
            logger.warning("lost %s: %s; reconnecting", self.address.describe(), link.trouble)
            self.spawn(self._reconnect())

    def informed(self, link: Link, info: dict[str, Any]) -> None:
        self.info = info
        known = set(self._endpoints)
        for text in info.get("connect_urls") or ():
            found = endpoint(str(text))
            if found is not None and found not in known:
                self._endpoints.append(found)
        if info.get("ldm") and link is self._link:
            link.hang_up("the server is about to stop")

    def refused(self, link: Link, reason: str) -> None:
        logger.error("%s says: %s", self.address.describe(), reason)
        self.last_error = reason

    def _tick(self) -> None:
        self._ticker = self.loop.call_later(TICK_SECONDS, self._tick)
        now = self.loop.time()
        self.requests.tick(now)
        link = self._link
        if link is None:
            return
        quiet = now - link.heard
        if quiet < QUIET_SECONDS:
            self._asked = 0.0
        elif not self._asked:
            self._asked = now
            link.ping(_nothing)
        elif quiet > SILENT_SECONDS and now - self._asked > SILENT_SECONDS - QUIET_SECONDS:
            link.hang_up("it does not answer")

    @property
    def closed(self) -> bool:
        """Whether there is nothing to be kept up any more."""
        return bool(self.trouble)

    @property
    def link(self) -> Link | None:
        """The connection, while there is one."""
        return self._link

    async def connected(self, deadline: float) -> Link:
        """The connection, as soon as there is one.

        :raises LayerUnavailable: not in time, or the layer is closed.
        """
        while True:
            self.opened()
            if self._link is not None:
                return self._link
            try:
                async with asyncio.timeout_at(deadline):
                    await self._up.wait()
            except TimeoutError:
                where = self.address.describe()
                raise LayerUnavailable(
                    f"The NATS at {where} does not answer: {self.last_error}."
                ) from None

    async def round_trip(self) -> None:
        """Wait until the server has sent what it had for us at this moment."""
        link = await self.connected(self.loop.time() + self.timeout)
        answered = asyncio.Event()
        link.ping(answered.set)
        try:
            async with asyncio.timeout(self.timeout):
                await answered.wait()
        except TimeoutError:
            raise NoAnswer("no sign of life") from None

    # Messages ------------------------------------------------------------------------------------

    def subscribe(self, subject: str, heard: Heard) -> int:
        """Hear what is published on a subject, from now on or as soon as there is a connection."""
        self._last_sid += 1
        self._subscriptions[self._last_sid] = (subject, heard)
        if self._link is not None:
            self._link.subscribe(self._last_sid, subject)
        return self._last_sid

    def unsubscribe(self, sid: int) -> None:
        if self._subscriptions.pop(sid, None) is not None and self._link is not None:
            self._link.unsubscribe(sid)

    def say(self, subject: str, data: bytes) -> None:
        """Publish without an answer; lost when there is no connection."""
        if self._link is not None:
            self._link.publish(subject, data)

    def told(self, sid: int, subject: bytes, reply: bytes, header: bytes, data: bytes) -> None:
        subscription = self._subscriptions.get(sid)
        if subscription is None:
            return
        try:
            subscription[1](Message(subject, reply, header, data))
        except Exception:
            logger.exception("a message on %s could not be handled", subject.decode())

    async def ask(
        self, subject: str, data: bytes, header: bytes = b"", deadline: float = 0.0
    ) -> Message:
        """Publish and wait for the one answer.

        :param deadline: of the loop's clock; 0: the engine's time-out from now.
        :raises NoAnswer, NobodyThere, LayerUnavailable: nothing was sent for the last two.
        """
        deadline = deadline or self.loop.time() + self.timeout
        link = self._link or await self.connected(deadline)
        return await self.requests.send(link, subject, data, header, deadline)

    def new_inbox(self) -> str:
        """A subject on which nobody else listens."""
        return f"_INBOX.{secrets.token_hex(8)}.{self._last_sid + 1}"


def _nothing() -> None:
    """A sign of life is all that was asked for."""


def _failed(error: BaseException) -> None:
    if isinstance(error, (LayerError, NoAnswer, NobodyThere)):
        logger.warning("the NATS engine: %s", error)
    else:
        logger.error("the NATS engine failed", exc_info=error)
