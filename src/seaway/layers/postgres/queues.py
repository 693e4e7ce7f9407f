"""Queues: sending, receiving and acknowledging.

What lives here: `PostgresQueues`, the queue half of the contract.
What must not: what becomes of a message, which the functions of ``sql/queue*.sql`` decide; who
waits for whom (`waiting`).

What is sent or acknowledged on a channel while the answer to the one before is awaited goes
together in one statement.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from psycopg.pq.abc import PGresult

from seaway.exceptions import ChannelClosed, ChannelFull, LayerUnavailable
from seaway.layers.postgres import statements
from seaway.layers.postgres.batches import Batches
from seaway.layers.postgres.channels import PostgresChannels
from seaway.layers.postgres.values import double, number, text, truth
from seaway.layers.postgres.waiting import Waiting
from seaway.layers.queue_checks import (
    check_channel,
    check_lease,
    check_receive,
    check_seconds,
    check_send,
    one_line,
)
from seaway.layers.queues import (
    CAPACITY,
    LEASE,
    TRIES,
    Delivery,
)

#: What one statement sends or acknowledges at most.
BATCH_MESSAGES, BATCH_BYTES = 500, 4 * 1024 * 1024
#: Seconds after which who waits for room looks again: an acknowledgement that commits while a
#: sender says that it waits may not have seen that. And a receiver, whom nothing escapes.
LOOK_FOR_ROOM, LOOK_FOR_MESSAGES = 0.5, 30.0
SENT, FULL, CLOSED = 0, 1, 2


class _Letter(NamedTuple):
    """A message to be sent."""

    data: bytes
    capacity: int
    waits: bool
    delay: float
    ttl: float | None
    order: str
    once: str


class _Sent(NamedTuple):
    id: str
    outcome: int
    nap: float | None


class _Held(NamedTuple):
    """What a receipt says: the message's number, and the handing-out."""

    number: int
    receipt: bytes


class PostgresQueues(PostgresChannels):
    """Channels. What a layer mixes in: see `open_queues`."""

    max_data: int
    _waiting: Waiting

    def open_queues(self) -> None:
        self._open = True
        self._sending: Batches[str, _Letter, _Sent] = Batches(
            self._send_batch, BATCH_MESSAGES, BATCH_BYTES, lambda letter: len(letter.data)
        )
        self._acking: Batches[str, _Held, bool] = Batches(
            self._ack_batch, BATCH_MESSAGES, BATCH_BYTES, lambda held: 0
        )

    def close_queues(self) -> None:
        """Those who wait are told."""
        self._open = False
        self._waiting.end()

    # Sending -------------------------------------------------------------------------------------

    async def send(
        self,
        channel: str,
        data: bytes,
        *,
        capacity: int = CAPACITY,
        wait: float = 0.0,
        delay: float = 0.0,
        ttl: float | None = None,
        order: str = "",
        once: str = "",
    ) -> str:
        check_send(
            channel, data, self.max_data,
            capacity=capacity, wait=wait, delay=delay, ttl=ttl, order=order, once=once,
        )  # fmt: skip
        letter = _Letter(data, capacity, wait > 0, delay, ttl, order, once)
        sent = await self._send(channel, letter)
        if sent.outcome == FULL and wait > 0:

            async def attempt() -> tuple[_Sent | None, float | None]:
                again = await self._send(channel, letter)
                return (None, again.nap) if again.outcome == FULL else (again, None)

            sent = await self._waiting.wait(channel, capacity, wait, LOOK_FOR_ROOM, attempt) or sent
        if sent.outcome == FULL:
            raise ChannelFull(f"The channel {channel} holds {capacity:,} messages already.")
        return sent.id

    async def _send(self, channel: str, letter: _Letter) -> _Sent:
        self._check_open()
        sent = await self._sending.add(channel, letter)
        if sent.outcome == CLOSED:
            raise ChannelClosed(f"The channel {channel} is closed.")
        return sent

    async def _send_batch(self, channel: str, letters: Sequence[_Letter]) -> list[_Sent]:
        request = uuid.uuid4().bytes
        values = (
            channel,
            [uuid.uuid4().bytes for _ in letters],
            [letter.data for letter in letters],
            [min(letter.capacity, 2**62) for letter in letters],
            [letter.waits for letter in letters],
            [letter.delay for letter in letters],
            [letter.ttl for letter in letters],
            [letter.order for letter in letters],
            [letter.once for letter in letters],
        )
        answer = await self._hands.ask(
            statements.SEND, request, False, *values, repeat=(request, True, *values)
        )
        value = answer.get_value
        return [
            _Sent(text(value(row, 0)), number(value(row, 1)), double(value(row, 2)))
            for row in range(answer.ntuples)
        ]

    # Receiving -----------------------------------------------------------------------------------

    async def receive(
        self,
        channel: str,
        *,
        limit: int = 1,
        wait: float = 0.0,
        lease: float = LEASE,
        tries: int = TRIES,
    ) -> Sequence[Delivery]:
        check_receive(channel, limit=limit, wait=wait, lease=lease, tries=tries)
        found, _ = await self._take(channel, limit, lease, tries)
        if found or wait <= 0:
            return found

        async def attempt() -> tuple[Sequence[Delivery] | None, float | None]:
            try:
                found, nap = await self._take(channel, limit, lease, tries)
            except LayerUnavailable:
                self._check_open()  # otherwise it will be back
                return None, 1.0
            return found or None, nap

        return await self._waiting.wait(channel, 0, wait, LOOK_FOR_MESSAGES, attempt) or ()

    async def _take(
        self, channel: str, limit: int, lease: float, tries: int
    ) -> tuple[Sequence[Delivery], float | None]:
        """What there is, and in how many seconds time alone may change that."""
        self._check_open()
        receipt = uuid.uuid4().bytes
        rest = (min(limit, 2**31), min(lease, 1e9), min(tries, 2**31 - 1))
        try:
            answer = await self._hands.ask(
                statements.RECEIVE, channel, receipt, False, *rest,
                repeat=(channel, receipt, True, *rest),
            )  # fmt: skip
        except BaseException:
            # It may have been done, now or later: this comes after it on the same connection.
            self._hands.tell(statements.TAKE_BACK, channel, receipt)
            raise
        if answer.ntuples and answer.get_value(0, 0) is None:
            if number(answer.get_value(0, 2)):
                raise ChannelClosed(f"The channel {channel} is closed.")
            return (), double(answer.get_value(0, 4))
        return [_delivery(channel, receipt, answer, row) for row in range(answer.ntuples)], None

    # Deliveries ----------------------------------------------------------------------------------

    async def ack(self, delivery: Delivery) -> bool:
        channel = check_channel(delivery.channel)
        self._check_open()
        held = _held(delivery)
        return held is not None and await self._acking.add(channel, held)

    async def _ack_batch(self, channel: str, acked: Sequence[_Held]) -> list[bool]:
        answer = await self._hands.ask(
            statements.ACK,
            channel,
            [held.number for held in acked],
            [held.receipt for held in acked],
        )
        return [truth(answer.get_value(row, 0)) for row in range(answer.ntuples)]

    async def nack(
        self, delivery: Delivery, *, delay: float = 0.0, dead: bool = False, reason: str = ""
    ) -> bool:
        check_seconds(delay, "delay")
        channel = check_channel(delivery.channel)
        self._check_open()
        held = _held(delivery)
        if held is None:
            return False
        answer = await self._hands.ask(
            statements.NACK, channel, *held, min(delay, 1e9), dead, one_line(reason) or "given up"
        )
        return truth(answer.get_value(0, 0))

    async def release(self, delivery: Delivery) -> bool:
        channel = check_channel(delivery.channel)
        self._check_open()
        held = _held(delivery)
        if held is None:
            return False
        answer = await self._hands.ask(statements.RELEASE, channel, *held)
        return truth(answer.get_value(0, 0))

    async def extend(self, delivery: Delivery, seconds: float) -> bool:
        check_lease(seconds)
        channel = check_channel(delivery.channel)
        self._check_open()
        held = _held(delivery)
        if held is None:
            return False
        answer = await self._hands.ask(statements.EXTEND, channel, *held, min(seconds, 1e9))
        return truth(answer.get_value(0, 0))


def _delivery(channel: str, receipt: bytes, answer: PGresult, row: int) -> Delivery:
    value = answer.get_value
    return Delivery(
        channel=channel,
        id=text(value(row, 1)),
        data=value(row, 3) or b"",
        attempt=number(value(row, 2)),
        receipt=f"{number(value(row, 0))}.{receipt.hex()}",
    )


def _held(delivery: Delivery) -> _Held | None:
    """What a receipt names; None for one that this engine did not make."""
    number_, _, receipt = delivery.receipt.partition(".")
    try:
        held = _Held(int(number_), bytes.fromhex(receipt))
    except ValueError:
        return None
    return held if len(held.receipt) == 16 and 0 < held.number < 2**63 else None
