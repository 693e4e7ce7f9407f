"""One channel by its name: putting values in at one end and taking them out at the other.

What lives here: `Channel`, and when a value goes out relative to a database transaction.
What must not: what a receiver does with a delivery (`delivery`).
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import msgspec
from django.db import DEFAULT_DB_ALIAS, transaction

from seaway.channels.delivery import Delivery, open_delivery
from seaway.channels.handlers import Backoff, Handler, handlers
from seaway.channels.receiving import receive_one
from seaway.conf import layer_home
from seaway.exceptions import ChannelClosed
from seaway.layers import queues
from seaway.layers.base import check_name
from seaway.layers.house import Operation
from seaway.layers.queues import CAPACITY, LEASE, TRIES, QueueState
from seaway.topics.address import forbid_running_loop
from seaway.topics.encoding import encode_json
from seaway.topics.transactions import in_atomic_block

F = TypeVar("F", bound=Callable[..., Any])


class Channel(msgspec.Struct, frozen=True):
    """Made by `channel`."""

    name: str
    capacity: int
    lease: float
    tries: int

    # In ------------------------------------------------------------------------------------------

    async def send(
        self,
        value: object,
        *,
        wait: float = math.inf,
        delay: float = 0.0,
        ttl: float | None = None,
        order: str = "",
        once: str = "",
    ) -> str:
        """Put in one value; returns the message's id. See `seaway.layers.queues.Queues.send`.

        It goes out now, whatever transaction is open: asynchronous code called by synchronous code
        in one that is not to be overtaken by its receiver uses ``sync_to_async(channel.put)``.

        :param value: anything that JSON can carry.
        :param wait: seconds to wait while the channel is full.
        :raises UnencodablePayload, PayloadTooLarge: nothing was sent.
        :raises ChannelFull: there was no room in ``wait`` seconds.
        :raises ChannelClosed: nothing can be sent any more.
        :raises LayerUnavailable: the engine did not answer; give ``once`` to repeat it safely.
        """
        return await layer_home().arun(self._sending(value, wait, delay, ttl, order, once))

    def put(
        self,
        value: object,
        *,
        wait: float = 0.0,
        delay: float = 0.0,
        ttl: float | None = None,
        order: str = "",
        once: str = "",
        using: str | None = None,
    ) -> str | None:
        """`send` for synchronous code, after the commit of a transaction that is open.

        The value is encoded at once in either case: it is what it is now.

        :param using: the database whose transaction counts; the default one otherwise.
        :returns: the message's id; None when it waits for a commit. What is wrong then is raised to
            whoever left the atomic block, like an error of any ``on_commit`` callback.
        :raises SyncCallInLoop: this thread's event loop is running; use `send`.
        """
        forbid_running_loop("put", "send")
        sending = self._sending(value, wait, delay, ttl, order, once)
        home = layer_home()
        if in_atomic_block(using or DEFAULT_DB_ALIAS):
            transaction.on_commit(lambda: home.run(sending), using=using)
            return None
        return home.run(sending)

    def _sending(
        self, value: object, wait: float, delay: float, ttl: float | None, order: str, once: str
    ) -> Operation[str]:
        data = encode_json(value, "The value")
        return lambda layer: layer.send(
            self.name,
            data,
            capacity=self.capacity,
            wait=wait,
            delay=delay,
            ttl=ttl,
            order=order,
            once=once,
        )

    # Out -----------------------------------------------------------------------------------------

    async def receive(self, wait: float = math.inf) -> Delivery | None:
        """The next value, or None after ``wait`` seconds without one. Safe to cancel.

        :raises ChannelClosed: the channel is closed and empty.
        """
        home = layer_home()
        while True:
            found = await receive_one(self._receiving(wait))
            if found is None:
                return None
            opened = open_delivery(found, self.lease)
            if opened is not None:
                return opened
            await home.arun(_bury(found))

    async def put_back(self, thing: Delivery | BaseException) -> None:
        """For `select`: nobody has looked at it, so it does not count as a delivery."""
        if isinstance(thing, Delivery):
            await thing.release()

    def take(self, wait: float = 0.0) -> Delivery | None:
        """`receive` for synchronous code. :raises SyncCallInLoop: as for `put`."""
        forbid_running_loop("take", "receive")
        home = layer_home()
        while True:
            found = home.run(self._receiving(wait))
            if not found:
                return None
            opened = open_delivery(found[0], self.lease)
            if opened is not None:
                return opened
            home.run(_bury(found[0]))

    def _receiving(self, wait: float) -> Operation[Sequence[queues.Delivery]]:
        return lambda layer: layer.receive(
            self.name, limit=1, wait=wait, lease=self.lease, tries=self.tries
        )

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        """Deliveries until the channel is closed and empty."""
        while True:
            try:
                delivery = await self.receive()
            except ChannelClosed:
                return
            if delivery is not None:
                yield delivery

    def handler(
        self,
        *,
        concurrency: int = 1,
        timeout: float | None = None,
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
    ) -> Callable[[F], F]:
        """Make the decorated function what ``manage.py runworker`` runs for this channel.

        It takes the value, validated from its annotation, and may take its `Delivery` as a second
        argument. When it returns, the message is done; when it raises, it is tried again after
        `Backoff`, and is a dead letter after the channel's ``tries``. It may be ``def`` or
        ``async def``.

        :raises ConfigurationError: the channel has another handler.
        """

        def register(function: F) -> F:
            handlers.add(
                Handler(self, function, concurrency=concurrency, timeout=timeout, backoff=backoff)
            )
            return function

        return register

    # Both ends -----------------------------------------------------------------------------------

    async def close(self) -> None:
        """Let nothing more be sent, and receivers' loops end once the channel is empty."""
        await layer_home().arun(lambda layer: layer.close_channel(self.name))

    async def open(self) -> None:
        """Undo `close`."""
        await layer_home().arun(lambda layer: layer.open_channel(self.name))

    async def state(self) -> QueueState:
        """The channel in numbers."""
        return await layer_home().arun(lambda layer: layer.queue_state(self.name))


def channel(
    name: str, *, capacity: int = CAPACITY, lease: float = LEASE, tries: int = TRIES
) -> Channel:
    """The channel of this name; nothing is asked of the layer yet.

    :param capacity: messages, waiting and held, over which this object's senders wait.
    :param lease: seconds after which a message whose receiver went silent is handed out again.
    :param tries: deliveries of one message before it is a dead letter.
    :raises InvalidName: the name is not legal. :raises ValueError: a number is not.
    """
    if capacity < 1 or lease <= 0 or tries < 1:
        raise ValueError("A channel needs capacity >= 1, lease > 0 and tries >= 1.")
    return Channel(check_name(name, "channel name"), capacity, lease, tries)


def _bury(delivery: queues.Delivery) -> Operation[bool]:
    return lambda layer: layer.nack(delivery, dead=True, reason="It is not JSON.")
