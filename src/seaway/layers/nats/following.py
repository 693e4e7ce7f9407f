"""Following a channel: its records, from the first to those that are stored now.

What lives here: `Follower`, a consumer at the server that sends the headers of all records, and
what notices that some were lost. What must not: what is done with a channel (`queues`).

The server numbers what it sends, and says how far it is when there is nothing to send. Whatever is
missing, the ledger is made anew from the beginning; until it is whole, the old one stays in use.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

from seaway.exceptions import LayerError, LayerUnavailable
from seaway.layers.nats import headers, records
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.entry import Entry, Place
from seaway.layers.nats.jetstream import JetStream
from seaway.layers.nats.ledger import Ledger
from seaway.layers.nats.requests import Message
from seaway.layers.nats.subjects import Subjects
from seaway.layers.nats.waiting import Line

logger = logging.getLogger("seaway.layers")

#: Seconds between signs of life of the consumer; after three without one it is made anew.
BEAT_SECONDS = 1.0
#: Seconds after which the server forgets a consumer that nobody listens to.
FORGET_SECONDS = 30.0
_NANO = 1e9


class Follower:
    """One channel that this process uses.

    :param expired: called with messages whose time to live is over.
    :ivar ledger: the channel; of use once `whole` has returned.
    """

    def __init__(
        self,
        engine: Engine,
        jetstream: JetStream,
        stream: str,
        subjects: Subjects,
        channel: str,
        gone: Callable[[str, float], bool],
        expired: Callable[[Follower, list[Entry]], None],
    ) -> None:
        self.channel = channel
        self.receivers = Line()
        #: By the capacity that they go by.
        self.senders: dict[int, Line] = {}
        self._taken = 0
        self.ledger = Ledger(gone)
        #: Sends that are under way and may make the channel fuller than the ledger says.
        self.sending = 0
        #: Sends on a condition go one by one, in the order in which they were made.
        self.turn = asyncio.Lock()
        self.used = engine.loop.time()
        self.users = 0
        self._engine = engine
        self._jetstream = jetstream
        self._stream = stream
        self._subject = subjects.channel(channel)
        self._here = subjects.here(channel, engine.process)
        self._gone = gone
        self._expired = expired
        self._sid = 0
        self._name = ""
        self._next: Ledger | None = None
        self._delivered = 0
        self._beat = engine.loop.time()
        self._loaded = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None
        self._trouble = ""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._news = asyncio.Event()

    # Life ----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Follow, or follow from the beginning once more."""
        if self._starting is None or self._starting.done():
            self._starting = self._engine.spawn(self._begin())

    async def _begin(self) -> None:
        while not self._engine.trouble:
            try:
                await self._make_consumer()
                self._trouble = ""
                return
            except LayerError as error:
                if str(error) != self._trouble:
                    logger.warning("the channel %s cannot be followed: %s", self.channel, error)
                self._trouble = str(error)
                await asyncio.sleep(1.0)

    async def _make_consumer(self) -> None:
        self._stop_consumer()
        engine = self._engine
        self._next = Ledger(self._gone)
        self._delivered = 0
        inbox = engine.new_inbox()
        name = self._name = secrets.token_hex(8)
        # A token of its own for each consumer: what an older one still sends is told apart.
        self._sid = engine.subscribe(inbox, lambda message: self._told(name, message))
        config = {
            "name": name,
            "deliver_policy": "all",
            "ack_policy": "none",
            "max_deliver": 1,
            "headers_only": True,
            "filter_subject": self._subject,
            "deliver_subject": inbox,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": int(FORGET_SECONDS * _NANO),
            "idle_heartbeat": int(BEAT_SECONDS * _NANO),
            "flow_control": True,
        }
        api = f"CONSUMER.CREATE.{self._stream}.{name}.{self._subject}"
        answer = await self._jetstream.api.request(
            api, {"stream_name": self._stream, "config": config}
        )
        self._beat = engine.loop.time()
        if not answer.get("num_pending") and not self._delivered:
            self._whole()

    def _stop_consumer(self) -> None:
        if self._sid:
            self._engine.unsubscribe(self._sid)
            self._engine.say(
                f"{self._jetstream.api.prefix}CONSUMER.DELETE.{self._stream}.{self._name}", b""
            )
            self._sid = 0

    def end(self) -> None:
        """Follow no more."""
        if self._starting is not None:
            self._starting.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._stop_consumer()
        self.receivers.end()
        for line in self.senders.values():
            line.end()

    def watch_over(self) -> None:
        """Called about once a second: see whether the consumer lives."""
        loop = self._engine.loop
        silent = loop.time() - self._beat
        if self._engine.link is not None and self._sid and silent > 3 * BEAT_SECONDS + 0.5:
            logger.warning("the consumer of %s gives no sign of life", self.channel)
            self._beat = loop.time()
            self.begin()
        self.ledger.look_for_gone(self._engine.clock.now())
        self.stir()

    # What comes ----------------------------------------------------------------------------------

    def _told(self, name: str, message: Message) -> None:
        if name != self._name:
            return
        self._beat = self._engine.loop.time()
        if headers.status(message.header)[0] == 100:
            self._control(message)
            return
        place = _delivery(message.reply)
        if place is None:
            return
        sequence, number, time, pending = place
        if number != self._delivered + 1:
            logger.warning("news of the channel %s were lost; reading it anew", self.channel)
            self._name = ""
            self.begin()
            return
        self._delivered = number
        ledger = self._next or self.ledger
        self._note(ledger, message, sequence, time)
        if self._next is None:
            self.stir()
        elif not pending:
            self._whole()

    def _control(self, message: Message) -> None:
        if message.reply:
            self._engine.say(message.reply.decode(), b"")
        stalled = headers.value(message.header, b"Nats-Consumer-Stalled")
        if stalled:
            self._engine.say(stalled.decode(), b"")
        last = headers.value(message.header, b"Nats-Last-Consumer")
        if last is not None and int(last) > self._delivered:
            self._name = ""
            self.begin()

    def _note(self, ledger: Ledger, message: Message, sequence: int, time: float) -> None:
        ledger.heard = sequence
        kind, _, rest = message.subject[len(self._subject) - 1 :].decode().partition(".")
        if kind == "y":
            return
        ledger.changed = sequence
        record = records.decode(headers.value(message.header, headers.STATE))
        if record is None or (kind == "i") == (record.state in ("closed", "open")):
            self._engine.flaws.add(f"A message of the channel {self.channel}")
        elif kind == "c":
            ledger.note_channel(record, sequence)
        else:
            size = headers.number(message.header, headers.SIZE)
            ledger.note(rest, record, sequence, time, size, self._engine.clock.now())

    def _whole(self) -> None:
        if self._next is not None:
            self.ledger, self._next = self._next, None
        self._loaded.set()
        self._taken = self.ledger.taken + len(self.ledger.entries) + 1  # look, all who wait
        self.stir()

    # For those who use it ------------------------------------------------------------------------

    async def whole(self) -> Ledger:
        """The channel as it is known, whole since the beginning."""
        if not self._loaded.is_set():
            try:
                async with asyncio.timeout(self._engine.timeout):
                    await self._loaded.wait()
            except TimeoutError:
                words = f"The channel {self.channel} could not be read in time. {self._trouble}"
                raise LayerUnavailable(words.rstrip()) from None
        return self.ledger

    async def level(self) -> Ledger:
        """The channel as it is now: all that was stored before this call is known."""
        await self.whole()
        values = {headers.ROLLUP: b"sub", headers.TTL: b"60s"}
        sequence = await self._jetstream.store(self._here, b"", values)
        await self.heard(sequence)
        return self.ledger

    async def heard(self, sequence: int) -> None:
        """Wait until everything up to a sequence of this channel is known."""
        try:
            async with asyncio.timeout(self._engine.timeout):
                while self.ledger.heard < sequence:
                    self._engine.opened()
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise LayerUnavailable(
                f"The channel {self.channel} could not be followed in time."
            ) from None

    def stir(self) -> None:
        """The ledger has changed, or time has passed: let everything have its effect."""
        self._news.set()
        now = self._engine.clock.now()
        ledger = self.ledger
        expired = ledger.tick(now)
        if expired:
            self._expired(self, expired)
        if ledger.exhausted:
            self.receivers.wake_all()
        freed = self._taken - ledger.taken
        self._taken = ledger.taken
        if freed > 0 or ledger.closed:
            for line in self.senders.values():
                line.wake(len(line) if ledger.closed else freed)
        if len(self.receivers) and ledger.ready():
            self.receivers.wake(ledger.count[Place.READY])
        self._arm(now)

    def _arm(self, now: float) -> None:
        when = self.ledger.next_change()
        if self._timer is not None:
            if self._timer_at == when and not self._timer.cancelled():
                return
            self._timer.cancel()
            self._timer = None
        if when < now + 3600:
            self._timer_at = when
            self._timer = self._engine.loop.call_later(max(0.001, when - now), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.stir()


def _delivery(reply: bytes) -> tuple[int, int, float, int] | None:
    """What the server says of a message that it delivers: its sequences in the stream and for the
    consumer, when it was stored, and how many follow."""
    words = reply.split(b".")
    skip = 0 if len(words) == 9 else 2
    try:
        sequence, number, time, pending = (int(word) for word in words[5 + skip : 9 + skip])
    except ValueError:
        return None
    return sequence, number, time / _NANO, pending
