"""Payloads that the engine cannot read: any layer, with its data encrypted.

What lives here: `EncryptedLayer`. What must not: an engine, or cryptography; that is `cipher`'s.

Names of topics, channels, members and people stay readable: the engine needs them. The data of
events and messages and what members say of themselves are AES-256-GCM, bound to the name of their
topic or channel, so that nobody can move one to another.

What a sealed text looks like, and why no nonce is used twice, is in `cipher`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from seaway.layers.base import (
    Gap,
    Headcount,
    History,
    Layer,
    Page,
    Position,
    PresenceChange,
    Publication,
    Receiver,
    check_size,
)
from seaway.layers.cipher import OVERHEAD, Cipher, Unreadable
from seaway.layers.queues import (
    CAPACITY,
    LEASE,
    TRIES,
    DeadLetter,
    Delivery,
    QueueState,
)

logger = logging.getLogger("seaway.layers")


class _Opener:
    """The receiver that the engine sees: opens what it hears and passes it on."""

    def __init__(self, receiver: Receiver, layer: EncryptedLayer) -> None:
        self._receiver = receiver
        self._layer = layer

    def published(self, topic: str, publication: Publication) -> None:
        data = self._layer.opened(publication.data, topic)
        if data is not None:
            self._receiver.published(topic, Publication(publication.position, data))
        else:
            # A hole, of which nobody may ever hear otherwise: it may be the topic's last event. The
            # hub compares positions, finds that it cannot be read, and tells its clients of a gap.
            self._receiver.restored(topic, publication.position)

    def presence_changed(self, topic: str, change: PresenceChange) -> None:
        entered = self._layer.opened_all(change.entered, topic)
        self._receiver.presence_changed(topic, PresenceChange(entered=entered, left=change.left))

    def restored(self, topic: str, position: Position) -> None:
        self._receiver.restored(topic, position)


class EncryptedLayer(Layer):
    """Another layer, whose engine sees no data.

    :param keys: the first one encrypts, all of them decrypt. To change keys: add the new one at
        the end everywhere, then move it to the front, and drop the old one when what it encrypted
        is gone (the longest history, the oldest message).
    """

    def __init__(self, layer: Layer, keys: Sequence[str]) -> None:
        self._layer = layer
        self._cipher = Cipher(keys)
        self.timeout = layer.timeout
        self.lease = layer.lease
        #: How many pieces of data could not be opened.
        self.unreadable = 0

    @property
    def inner(self) -> Layer:
        """The engine's own layer."""
        return self._layer

    def describe(self) -> str:
        return f"{self._layer.describe()}, encrypted"

    async def start(self, receiver: Receiver) -> None:
        self._layer.max_data = self.max_data + OVERHEAD
        await self._layer.start(_Opener(receiver, self))

    async def close(self) -> None:
        await self._layer.close()

    def forked(self) -> None:
        self._layer.forked()

    # Opening -------------------------------------------------------------------------------------

    def opened(self, data: bytes, bound_to: str) -> bytes | None:
        """The data, or None for what does not open: counted, and the first logged."""
        try:
            return self._cipher.open(data, bound_to)
        except Unreadable as error:
            if not self.unreadable:
                logger.error("%s Further ones are only counted.", error)
            self.unreadable += 1
            return None

    def opened_all(self, sealed: Any, bound_to: str) -> dict[str, bytes]:
        """Those members whose info opens."""
        found = {member: self.opened(info, bound_to) for member, info in sealed.items()}
        return {member: info for member, info in found.items() if info is not None}

    def seal(self, data: bytes, bound_to: str) -> bytes:
        check_size(data, self.max_data)
        return self._cipher.seal(data, bound_to)

    # Streams -------------------------------------------------------------------------------------

    async def publish(
        self, topic: str, data: bytes, history: History | None = None, *, once: str = ""
    ) -> Position:
        return await self._layer.publish(topic, self.seal(data, topic), history, once=once)

    async def watch(self, topic: str) -> Position:
        return await self._layer.watch(topic)

    async def unwatch(self, topic: str) -> None:
        await self._layer.unwatch(topic)

    async def read(self, topic: str, since: Position, limit: int = 100) -> Page | Gap:
        answer = await self._layer.read(topic, since, limit)
        if isinstance(answer, Gap):
            return answer
        events: list[Publication] = []
        for publication in answer.publications:
            data = self.opened(publication.data, topic)
            if data is None:
                # Up to the hole; who asks for the event itself has a gap.
                return Page(events, answer.position) if events else Gap(answer.position)
            events.append(Publication(publication.position, data))
        return Page(events, answer.position)

    async def position(self, topic: str) -> Position:
        return await self._layer.position(topic)

    # Presence ------------------------------------------------------------------------------------

    async def enter(self, topic: str, member: str, info: bytes, person: str = "") -> None:
        await self._layer.enter(topic, member, self.seal(info, topic), person)

    async def leave(self, topic: str, member: str) -> None:
        await self._layer.leave(topic, member)

    async def members(self, topic: str) -> dict[str, bytes]:
        return self.opened_all(await self._layer.members(topic), topic)

    async def headcount(self, topic: str) -> Headcount:
        return await self._layer.headcount(topic)

    # Queues --------------------------------------------------------------------------------------

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
        return await self._layer.send(
            channel,
            self.seal(data, channel),
            capacity=capacity,
            wait=wait,
            delay=delay,
            ttl=ttl,
            order=order,
            once=once,
        )

    async def receive(
        self,
        channel: str,
        *,
        limit: int = 1,
        wait: float = 0.0,
        lease: float = LEASE,
        tries: int = TRIES,
    ) -> Sequence[Delivery]:
        """As the contract says; a message that does not open goes to the dead letters at once."""
        while True:
            sealed = await self._layer.receive(
                channel, limit=limit, wait=wait, lease=lease, tries=tries
            )
            found = []
            for delivery in sealed:
                data = self.opened(delivery.data, channel)
                if data is None:
                    await self._layer.nack(delivery, dead=True, reason="It cannot be decrypted.")
                else:
                    found.append(_with_data(delivery, data))
            if found or not sealed:
                return found

    async def ack(self, delivery: Delivery) -> bool:
        return await self._layer.ack(delivery)

    async def nack(
        self, delivery: Delivery, *, delay: float = 0.0, dead: bool = False, reason: str = ""
    ) -> bool:
        return await self._layer.nack(delivery, delay=delay, dead=dead, reason=reason)

    async def release(self, delivery: Delivery) -> bool:
        return await self._layer.release(delivery)

    async def extend(self, delivery: Delivery, seconds: float) -> bool:
        return await self._layer.extend(delivery, seconds)

    async def close_channel(self, channel: str) -> None:
        await self._layer.close_channel(channel)

    async def open_channel(self, channel: str) -> None:
        await self._layer.open_channel(channel)

    async def channels(self) -> Sequence[str]:
        return await self._layer.channels()

    async def queue_state(self, channel: str) -> QueueState:
        return await self._layer.queue_state(channel)

    async def purge(self, channel: str) -> int:
        return await self._layer.purge(channel)

    async def dead_letters(
        self, channel: str, limit: int = 100, *, skip: int = 0, ids: Sequence[str] | None = None
    ) -> Sequence[DeadLetter]:
        """As the contract says; of one that does not open the data are empty."""
        return [
            DeadLetter(
                id=letter.id,
                data=self.opened(letter.data, channel) or b"",
                attempts=letter.attempts,
                reason=letter.reason,
                died_at=letter.died_at,
            )
            for letter in await self._layer.dead_letters(channel, limit, skip=skip, ids=ids)
        ]

    async def replay(self, channel: str, ids: Sequence[str] | None = None) -> int:
        return await self._layer.replay(channel, ids)

    async def discard(self, channel: str, ids: Sequence[str] | None = None) -> int:
        return await self._layer.discard(channel, ids)


def _with_data(delivery: Delivery, data: bytes) -> Delivery:
    return Delivery(
        channel=delivery.channel,
        id=delivery.id,
        data=data,
        attempt=delivery.attempt,
        receipt=delivery.receipt,
    )
