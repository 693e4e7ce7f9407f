"""The state of all channels: what is waiting, delayed, in order, held and dead.

What lives here: `QueueStore`, the queue part of the layer contract as plain synchronous data. The
memory engine holds one in its process; the local engine holds one in the broker.
What must not: sockets, asyncio, encodings, or who waits for a message (`desk`).

Memory is bounded by what senders say is a channel's capacity, by `dead_letters`, and by the
``once`` of the last `ONCE_SECONDS`.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterable, Sequence

from seaway.exceptions import ChannelClosed, ChannelFull
from seaway.layers.memory.channel_state import ChannelState
from seaway.layers.memory.queue_message import Journal, Message, NoJournal, Place
from seaway.layers.queues import ONCE_SECONDS, DeadLetter, Delivery, QueueState

#: Bytes of data after which `QueueStore.receive` gives no further message.
RECEIVE_BYTES = 4 * 1024 * 1024
#: Channels that one `QueueStore.sweep` looks at.
SWEEP_CHANNELS = 200


class QueueStore:
    """All channels. ``clock`` gives seconds that never go back, ``wall`` those since 1970."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        journal: Journal | None = None,
    ) -> None:
        self.clock = clock
        self._wall = wall
        self._journal: Journal = journal or NoJournal()
        self._channels: dict[str, ChannelState] = {}
        self._to_sweep: list[str] = []
        self._last = 0
        # Ids and receipts of two lives of a store never meet.
        self._run = secrets.token_urlsafe(6)

    # Sending and receiving -----------------------------------------------------------------------

    def send(
        self,
        channel: str,
        data: bytes,
        *,
        capacity: int,
        delay: float = 0.0,
        ttl: float | None = None,
        order: str = "",
        once: str = "",
    ) -> str:
        """As `Queues.send` without waiting."""
        state, now = self._at(channel)
        if once and once in state.once:
            return state.once[once][1]
        if state.closed:
            raise ChannelClosed(f"The channel {channel} is closed.")
        if len(state.messages) >= capacity:
            raise ChannelFull(
                f"The channel {channel} holds {len(state.messages):,} messages already."
            )
        number = self._next()
        due = now + delay if delay > 0 else -math.inf
        expires = math.inf if ttl is None else now + ttl
        id_ = f"{self._run}-{number}"
        message = Message(id_, number, data, order=order, due=due, expires=expires)
        if once:
            state.once[once] = (now + ONCE_SECONDS, id_)
            self._journal.once_seen(channel, once, id_, now + ONCE_SECONDS)
        state.admit(message, now)
        return id_

    def receive(
        self, channel: str, *, limit: int, lease: float, tries: int, holder: str = ""
    ) -> list[Delivery]:
        """As `Queues.receive` without waiting.

        :param holder: who gets them, for `drop_holder`.
        :raises ChannelClosed: it is closed and holds nothing that could still be received.
        """
        state, now = self._at(channel)
        taken: list[Delivery] = []
        size = 0
        while len(taken) < limit and (message := state.next_ready()) is not None:
            size += len(message.data)
            if size > RECEIVE_BYTES and taken:
                break
            message.tries = tries
            message.holder = holder
            receipt = f"{self._run}.{self._next()}"
            state.hold(message, receipt, now + lease)
            taken.append(Delivery(channel, message.id, message.data, message.attempts, receipt))
        if not taken and state.closed and not state.messages:
            raise ChannelClosed(f"The channel {channel} is closed, and nothing is left in it.")
        return taken

    def ack(self, channel: str, receipt: str) -> bool:
        """As `Queues.ack`."""
        state, now = self._at(channel)
        message = state.held.get(receipt)
        if message is None:
            return False
        state.remove(message, now)
        return True

    def nack(
        self, channel: str, receipt: str, *, delay: float = 0.0, dead: bool, reason: str
    ) -> bool:
        """As `Queues.nack`."""
        state, now = self._at(channel)
        message = state.held.get(receipt)
        if message is None:
            return False
        if dead or message.attempts >= message.tries:
            state.die(message, now, reason or "given up")
            state.dead.limit()
        else:
            state.give_back(message, now, now + delay if delay > 0 else -math.inf)
        return True

    def extend(self, channel: str, receipt: str, seconds: float) -> bool:
        """As `Queues.extend`."""
        state, now = self._at(channel)
        message = state.held.get(receipt)
        if message is None:
            return False
        state.extend(message, now + seconds)
        return True

    def release(self, channel: str, receipts: Iterable[str]) -> int:
        """Nobody has seen these deliveries: take them back at once and do not count them. How many
        were still held."""
        state, now = self._at(channel)
        count = 0
        for receipt in receipts:
            message = state.held.get(receipt)
            if message is not None:
                message.attempts -= 1
                state.give_back(message, now)
                count += 1
        return count

    def held_by(self, holder: str) -> dict[str, list[str]]:
        """The receipts of what somebody holds, by channel."""
        found: dict[str, list[str]] = {}
        for name, state in self._channels.items():
            own = [receipt for receipt, message in state.held.items() if message.holder == holder]
            if own:
                found[name] = own
        return found

    def holders(self) -> set[str]:
        """Everybody who holds anything."""
        return {
            message.holder
            for state in self._channels.values()
            for message in state.held.values()
            if message.holder
        }

    def drop_holder(self, holder: str) -> list[str]:
        """Somebody is gone: what it held is handed out again, or dead after its last try.

        Returns the channels that have changed.
        """
        found = self.held_by(holder)
        for name, receipts in found.items():
            for receipt in receipts:
                self.nack(name, receipt, dead=False, reason="its receiver went away")
        return list(found)

    def deliveries(self, channel: str, receipts: Iterable[str]) -> list[Delivery]:
        """The handings-out of these receipts once more, as far as they still hold."""
        state, _ = self._at(channel)
        held = ((receipt, state.held.get(receipt)) for receipt in receipts)
        return [
            Delivery(channel, message.id, message.data, message.attempts, receipt)
            for receipt, message in held
            if message is not None
        ]

    # For operators -------------------------------------------------------------------------------

    def set_closed(self, channel: str, closed: bool) -> None:
        """As `Queues.close_channel` and `Queues.open_channel`."""
        state, _ = self._at(channel)
        if state.closed is not closed:
            state.closed = closed
            self._journal.channel_closed(channel, closed)

    def channels(self) -> list[str]:
        """As `Queues.channels`."""
        found = []
        for name in list(self._channels):
            state, _ = self._at(name)
            if state.messages or state.dead or state.closed:
                found.append(name)
        return sorted(found)

    def state(self, channel: str) -> QueueState:
        """As `Queues.queue_state`."""
        if channel not in self._channels:
            return QueueState()
        state, _ = self._at(channel)
        count = state.count
        return QueueState(
            waiting=count[Place.READY] + count[Place.LINED_UP],
            delayed=count[Place.DELAYED],
            held=count[Place.HELD],
            dead=len(state.dead),
            closed=state.closed,
        )

    def purge(self, channel: str) -> int:
        """As `Queues.purge`."""
        state, _ = self._at(channel)
        return state.purge()

    def dead_letters(
        self, channel: str, limit: int, skip: int = 0, ids: Sequence[str] | None = None
    ) -> list[DeadLetter]:
        """As `Queues.dead_letters`."""
        state, _ = self._at(channel)
        return state.dead.show(limit, skip, ids)

    def replay(self, channel: str, ids: Sequence[str] | None) -> int:
        """As `Queues.replay`: each joins the end of its order."""
        state, now = self._at(channel)
        chosen = state.dead.take(ids)
        for message in chosen:
            again = Message(message.id, self._next(), message.data, order=message.order)
            state.admit(again, now)
        return len(chosen)

    def discard(self, channel: str, ids: Sequence[str] | None) -> int:
        """As `Queues.discard`."""
        state, _ = self._at(channel)
        chosen = state.dead.take(ids)
        for message in chosen:
            self._journal.message_gone(channel, message)
        return len(chosen)

    # Time ----------------------------------------------------------------------------------------

    def next_change(self, channel: str) -> float:
        """When time alone changes something in a channel, by the store's clock; infinity: never."""
        state = self._channels.get(channel)
        return math.inf if state is None else state.next_change()

    def sweep(self) -> None:
        """Tidy and forget a bounded number of channels; call it about once a second."""
        if not self._to_sweep:
            self._to_sweep = list(self._channels)
        for name in self._to_sweep[-SWEEP_CHANNELS:]:
            if name in self._channels and self._at(name)[0].idle():
                del self._channels[name]
        del self._to_sweep[-SWEEP_CHANNELS:]

    def restore(self, channel: str, messages: Iterable[Message], closed: bool) -> None:
        """Put back what a journal has kept of a channel, the oldest message first."""
        state = ChannelState(channel, self._journal, self._wall)
        self._channels[channel] = state
        state.closed = closed
        now = self.clock()
        for message in messages:
            self._last = max(self._last, message.number)
            state.restore(message, now)

    def restore_once(self, channel: str, once: str, until: float, id_: str) -> None:
        """Put back what a journal has kept of a ``once``, the oldest first."""
        self._at(channel)[0].once[once] = (until, id_)

    def __len__(self) -> int:
        """How many channels are held in memory."""
        return len(self._channels)

    # Inside --------------------------------------------------------------------------------------

    def _at(self, channel: str) -> tuple[ChannelState, float]:
        """A channel as it is now, and when that is."""
        state = self._channels.get(channel)
        if state is None:
            state = self._channels[channel] = ChannelState(channel, self._journal, self._wall)
        now = self.clock()
        state.tidy(now)
        state.dead.limit()
        return state, now

    def _next(self) -> int:
        self._last += 1
        return self._last
