"""The layer over the embedded broker: one Unix connection per process.

What lives here: connecting, and what happens when the broker is lost.
What must not: the methods of the contract (`client_streams`, `client_queues`).

After a loss the layer reconnects at once, starting a broker if there is none, and then, in this
order on the new connection: enters its members again, watches its topics again (each answer
becomes `Receiver.restored`, before any event that follows it), and sends what is still waiting.
A broker that still knows us does nothing twice (`clients`). To another one a publish, or a send
without ``once``, that had been written to the lost connection is not repeated, since it would count
twice if it had arrived: it raises.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from functools import partial

from seaway.exceptions import ConfigurationError, LayerUnavailable
from seaway.layers.base import Position, PresenceChange, Publication, Receiver
from seaway.layers.local import wire
from seaway.layers.local.broker import LINGER
from seaway.layers.local.client_queues import LocalQueues
from seaway.layers.local.client_streams import LocalStreams, position_of
from seaway.layers.local.launch import ensure_broker
from seaway.layers.local.link import Link
from seaway.layers.local.place import Durable, Place
from seaway.layers.local.requests import Requests

logger = logging.getLogger("seaway.layers")

#: Seconds between attempts to reconnect: the first wait and the longest.
FIRST_DELAY, LAST_DELAY = 0.05, 1.0


class LocalLayer(LocalQueues, LocalStreams):
    """Streams, queues and presence of all processes of one user and namespace on this machine.

    :param place: where the broker is found.
    :param linger: seconds that a broker started by this layer outlives its last client.
    :param durable: what queues and history have to outlive, at least.
    """

    def __init__(
        self, place: Place, *, linger: float = LINGER, durable: Durable = Durable.NOT
    ) -> None:
        super().__init__()
        self._place = place
        self._client = ""
        self._linger = linger
        self._durable = durable
        self._receiver: Receiver | None = None
        self._requests: Requests | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._mending: asyncio.Task[None] | None = None
        self._next_renewal = 0.0
        self._trouble = "not started"

    def describe(self) -> str:
        what = "durable local broker" if self._durable else "local broker"
        return f"{what} at {self._place.socket}"

    @property
    def connected(self) -> bool:
        """Whether a broker has been reached and not been lost since."""
        return self._requests is not None and self._requests.link is not None

    # Life ----------------------------------------------------------------------------------------

    async def start(self, receiver: Receiver) -> None:
        self._loop = asyncio.get_running_loop()
        self._requests = Requests()
        self._client = secrets.token_urlsafe(16)
        self._receiver = receiver
        try:
            async with asyncio.timeout(self.timeout):
                await self._connect_at_last(stubborn=False)
        except BaseException as error:
            self._receiver = None
            if isinstance(error, TimeoutError):
                raise LayerUnavailable(self._unreachable()) from error
            raise
        self._tick()

    async def close(self) -> None:
        self._receiver = None
        self._trouble = "closed"
        if self._ticker is not None:
            self._ticker.cancel()
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.wait([self._mending])
        if self._requests is not None:
            if self.connected:
                self._requests.tell(wire.Bye(self._requests.next_id()), self.timeout)
                self._requests.flush()
            link = self._requests.end("The layer was closed meanwhile.")
            if link is not None:
                await link.close(self.timeout)

    def forked(self) -> None:
        self._receiver = None
        self._trouble = "left behind by a fork"
        if self._requests is not None and self._requests.link is not None:
            self._requests.link.forked()

    def _asking(self) -> Requests:
        if self._receiver is None or self._requests is None:
            raise LayerUnavailable(f"The layer is {self._trouble}.")
        return self._requests

    # What the broker says (link.LinkOwner) -------------------------------------------------------

    def replied(self, reply: wire.Answer | wire.News) -> None:
        """LinkOwner: events, a change of presence, or an answer."""
        if isinstance(reply, wire.Published):
            topic, epoch, offset = reply.topic, reply.epoch, reply.offset
            for data in reply.events:
                # Nobody wants what comes of a topic that is unwatched, or about to be watched anew.
                receiver = self._receiver
                if receiver is None or topic not in self._watched:
                    return
                try:
                    receiver.published(topic, Publication(Position(epoch, offset), data))
                except Exception:
                    logger.exception("the receiver failed on an event of %s", topic)
                offset += 1
        elif isinstance(reply, wire.Changed):
            self._announce_change(reply)
        elif self._requests is not None:
            if isinstance(reply, wire.Placed):
                self._requests.placed(reply)
            else:
                self._requests.answered(reply)

    def _announce_change(self, news: wire.Changed) -> None:
        if self._receiver is not None and news.topic in self._watched:
            change = PresenceChange(entered=news.entered, left=news.left)
            try:
                self._receiver.presence_changed(news.topic, change)
            except Exception:
                logger.exception("the receiver failed on a change of presence in %s", news.topic)

    def lost(self, link: Link) -> None:
        """LinkOwner: reconnect, unless it was never in use or we hung up ourselves."""
        requests = self._requests
        if requests is None or link is not requests.link:
            return
        self._trouble = "the connection was lost"
        logger.warning("lost the %s; reconnecting", self.describe())
        requests.lost()
        self._mending = self._loop.create_task(self._mend())

    # Connecting ----------------------------------------------------------------------------------

    async def _connect_at_last(self, *, stubborn: bool) -> None:
        """Try until it works. Only a ``stubborn`` one goes on when no broker can be started."""
        delay = FIRST_DELAY
        while True:
            try:
                await self._connect()
            except OSError as error:
                self._trouble = str(error) or "it does not answer"
            except (LayerUnavailable, ConfigurationError) as error:
                if not stubborn:
                    raise
                self._trouble = str(error)
                logger.warning("no broker yet: %s", error)
            else:
                return
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311  spreads attempts
            delay = min(LAST_DELAY, delay * 2)

    async def _mend(self) -> None:
        await self._connect_at_last(stubborn=True)
        logger.info("back at the %s", self.describe())

    async def _connect(self) -> None:
        requests = self._asking()
        self._place.prepare()
        try:
            link = await self._dial()
        except (FileNotFoundError, ConnectionRefusedError):
            await self._launch()
            link = await self._dial()
        requests.resume(
            link, lambda: self._tell_again(requests), known=link.welcomed.result().known
        )

    async def _launch(self) -> None:
        launch = partial(
            ensure_broker,
            self._place,
            timeout=self.timeout,
            linger=self._linger,
            durable=self._durable,
        )
        try:
            await self._loop.run_in_executor(None, launch)
        except RuntimeError as error:  # no thread can be had: the interpreter is about to exit
            raise LayerUnavailable(str(error)) from error

    async def _dial(self) -> Link:
        link = Link(self, self.lease, self._client)
        try:
            await self._loop.create_unix_connection(lambda: link, str(self._place.socket))
            async with asyncio.timeout(self.timeout):
                welcome = await link.welcomed
            if welcome.durable < self._durable:
                raise ConfigurationError(
                    f"The broker at {self._place.socket} (process {welcome.pid}) was started "
                    "without what LAYER says on durability: end it, and another one is started."
                )
        except BaseException:
            link.abort()
            raise
        if not link.open:
            raise ConnectionResetError("The broker hung up after the greeting.")
        return link

    def _tell_again(self, requests: Requests) -> None:
        """What a broker that knows nothing of us has to know, before anything else is asked."""
        self.enter_again(requests)
        for topic in self._watched:
            question = wire.Watch(requests.next_id(), topic)
            requests.tell(question, self.timeout, partial(self._watched_again, topic))

    def _watched_again(self, topic: str, answer: wire.Answer) -> None:
        if topic in self._watched and self._receiver is not None:
            try:
                self._receiver.restored(topic, position_of(answer))
            except Exception:
                logger.exception("the receiver failed on the restored %s", topic)

    # Time ----------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """One timer for all time-outs and for the signs of life."""
        self._ticker = self._loop.call_later(min(self.timeout / 5, self.lease / 6), self._tick)
        requests = self._asking()
        requests.time_out(self._unreachable(), self.timeout)
        now = self._loop.time()
        if self.connected and now >= self._next_renewal:
            self._next_renewal = now + self.lease / 3
            requests.tell(wire.Renew(requests.next_id()), self.timeout, self._renewed)

    def _renewed(self, answer: wire.Answer) -> None:
        if isinstance(answer, wire.Renewed) and not answer.kept:
            logger.warning("this process was silent for too long; its members enter again")
            self.enter_again(self._asking())

    def _unreachable(self) -> str:
        if self.connected:
            return f"The {self.describe()} did not answer within {self.timeout:g} s."
        return f"The {self.describe()} cannot be reached: {self._trouble.rstrip('.')}."
