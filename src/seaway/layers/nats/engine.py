"""The connection to the servers of one address: kept up, with requests and subscriptions on it.

What lives here: `Engine`: one per layer; reconnecting, requests, subscriptions, the clock, tasks.
What must not: JetStream; that is `jetstream`'s.

Subscriptions outlive a connection: they are placed on the next before anything else. Requests do
not: who waits for an answer is told that the connection was lost, and asks again where that is
harmless.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

from seaway.exceptions import ConfigurationError, LayerError, LayerUnavailable
from seaway.layers.nats import headers
from seaway.layers.nats.address import Address, Endpoint, endpoint
from seaway.layers.nats.dial import Unreachable, dial
from seaway.layers.nats.link import Link

logger = logging.getLogger("seaway.layers")

#: Seconds between looks at time-outs and signs of life.
TICK_SECONDS = 0.2
#: Seconds of silence after which the server is asked for a sign of life, and then given up.
QUIET_SECONDS, SILENT_SECONDS = 2.0, 5.0
#: Seconds for one attempt to connect, and between two.
DIAL_SECONDS, PAUSE_SECONDS = 2.0, 0.1
#: Seconds after which a request is taken for lost though the connection stands.
ATTEMPT_SECONDS = 1.5


class Message(NamedTuple):
    """What came on a subscription. ``sid`` is not in it: who subscribed knows."""

    subject: bytes
    reply: bytes
    header: bytes
    data: bytes


class NoAnswer(Exception):
    """A request was not answered: whether it was heard is not known."""


class NobodyThere(Exception):
    """Nobody serves the subject of a request at present; it was not heard."""


#: Takes what comes on a subscription, at once; must not block.
Heard = Callable[[Message], None]


class _Request(NamedTuple):
    future: asyncio.Future[Message]
    deadline: float


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
        self.flaws = 0
        self.trouble = "not started"
        self.last_error = ""
        self._reconnected = reconnected
        self._endpoints = list(address.endpoints)
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._subscriptions: dict[int, tuple[str, Heard]] = {}
        self._last_sid = 0
        self._inbox = f"_INBOX.{secrets.token_hex(8)}"
        self._requests: dict[bytes, _Request] = {}
        self._last_request = 0
        self._ticker: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._asked = 0.0
        self._clock_offset: float | None = None
        self._clock_error = 0.0

    # Life ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect within the time-out.

        :raises ConfigurationError, LayerUnavailable: in words for the operator.
        """
        self.loop = asyncio.get_running_loop()
        self.subscribe(f"{self._inbox}.*", self._answered)
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
        self._lose_requests()
        self._up.set()
        tasks = self._tasks - {asyncio.current_task()}
        while tasks:
            for task in tasks:
                task.cancel()
            _, tasks = await asyncio.wait(tasks, timeout=1.0)

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

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something in the background; it ends with the engine."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, (LayerError, NoAnswer, NobodyThere)):
            logger.warning("the NATS engine: %s", error)
        elif error is not None:
            logger.error("the NATS engine failed", exc_info=error)

    def flaw(self, what: str) -> None:
        """Count something corrupt in the engine's data; the first one is logged."""
        if not self.flaws:
            logger.error(
                "%s in the data of %s is corrupt and was skipped; further ones are only counted",
                what,
                self.address.describe(),
            )
        self.flaws += 1

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
        self._lose_requests()
        if not self.trouble:
            logger.warning("lost %s: %s; reconnecting", self.address.describe(), link.trouble)
            self.spawn(self._reconnect())

    def informed(self, link: Link, info: dict[str, Any]) -> None:
        self.info = info
        known = set(self._endpoints)
        for text in info.get("connect_urls") or ():
            found = endpoint(str(text))
            if found is not None and found not in known:
                self._endpoints.append(Endpoint(*found))
        if info.get("ldm") and link is self._link:
            link.hang_up("the server is about to stop")

    def refused(self, link: Link, reason: str) -> None:
        logger.error("%s says: %s", self.address.describe(), reason)
        self.last_error = reason

    def _tick(self) -> None:
        self._ticker = self.loop.call_later(TICK_SECONDS, self._tick)
        now = self.loop.time()
        late = [key for key, request in self._requests.items() if request.deadline <= now]
        for key in late:
            future = self._requests.pop(key).future
            if not future.done():
                future.set_exception(NoAnswer("no answer in time"))
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

    def new_inbox(self) -> str:
        """A subject on which nobody else listens."""
        self._last_request += 1
        return f"_INBOX.{secrets.token_hex(8)}.{self._last_request}"

    async def ask(
        self, subject: str, data: bytes, header: bytes = b"", deadline: float = 0.0
    ) -> Message:
        """Publish and wait for the one answer.

        :param deadline: of the loop's clock; 0: the engine's time-out from now.
        :raises NoAnswer, NobodyThere, LayerUnavailable: nothing was sent for the last two.
        """
        deadline = deadline or self.loop.time() + self.timeout
        link = self._link or await self.connected(deadline)
        return await self.send_request(link, subject, data, header, deadline)

    def send_request(
        self, link: Link, subject: str, data: bytes, header: bytes, deadline: float
    ) -> asyncio.Future[Message]:
        """As `ask`, sent before this returns."""
        self._last_request += 1
        key = b"%d" % self._last_request
        future: asyncio.Future[Message] = self.loop.create_future()
        self._requests[key] = _Request(future, min(deadline, self.loop.time() + ATTEMPT_SECONDS))
        link.publish(subject, data, header, f"{self._inbox}.{self._last_request}")
        return future

    def _answered(self, message: Message) -> None:
        request = self._requests.pop(message.subject.rpartition(b".")[2], None)
        if request is None or request.future.done():
            return
        if message.header and headers.status(message.header)[0] == 503:
            request.future.set_exception(NobodyThere("nobody serves it"))
        else:
            request.future.set_result(message)

    def _lose_requests(self) -> None:
        requests, self._requests = self._requests, {}
        for request in requests.values():
            if not request.future.done():
                request.future.set_exception(NoAnswer("the connection was lost"))

    # The servers' clock --------------------------------------------------------------------------

    def now(self) -> float:
        """The servers' time in seconds since 1970, as far as it is known."""
        return self.loop.time() + (self._clock_offset or 0.0)

    def heard_time(self, stamp: float, asked: float) -> None:
        """The server wrote ``stamp`` between ``asked``, by the loop's clock, and now."""
        now = self.loop.time()
        error = (now - asked) / 2
        # The error of an old measurement grows with time, as clocks drift.
        self._clock_error += 0.0005
        if self._clock_offset is None or error <= self._clock_error:
            self._clock_offset = stamp - (asked + now) / 2
            self._clock_error = error


def _nothing() -> None:
    """A sign of life is all that was asked for."""
