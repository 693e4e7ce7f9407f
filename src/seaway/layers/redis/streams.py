"""Streams on the Redis engine.

What lives here: watch, read, and what a watched topic hears.
What must not: publishing (`publishing`), how a subscription is placed, or a script run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import (
    Gap,
    History,
    Layer,
    Page,
    Position,
    PresenceChange,
    Publication,
    Receiver,
    check_limit,
    check_name,
    check_publish,
)
from seaway.layers.redis import keys
from seaway.layers.redis.engine import Engine
from seaway.layers.redis.news import Subscription
from seaway.layers.redis.publishing import Publishing, position_of
from seaway.layers.redis.scripts import SCRIPTS, Script

logger = logging.getLogger("seaway.layers")

#: A page ends when it holds so many bytes, or so many events.
PAGE_BYTES, PAGE_EVENTS = 4 * 1024 * 1024, 5000

_PUBLISHED, _ENTERED, _LEFT = b"p", b"+", b"-"


class Watch(Subscription):
    """One watched topic.

    :ivar position: where it stood when it was first subscribed to.
    """

    __slots__ = (
        "_candidate",
        "_epoch",
        "_epoch_bytes",
        "_flaw",
        "_offset",
        "_receiver",
        "_steady",
        "left_off",
        "position",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        channel: bytes,
        receiver: Receiver,
        candidate: Callable[[], bytes],
        flaw: Callable[[str], None],
    ) -> None:
        super().__init__(channel)
        self._candidate = candidate
        self._flaw = flaw
        self.topic = topic
        self.position: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self._receiver = receiver
        self._epoch, self._epoch_bytes, self._offset = "", b"", 0
        #: Where it stood when offsets began to be given twice, until that is told.
        self.left_off: Position | None = None
        #: Whether what is told is after a position that the receiver knows.
        self._steady = False

    def question(self) -> tuple[Script, Sequence[bytes], Sequence[bytes]]:
        base = self.channel
        names = [base, base + b".history", base + b".ids0", base + b".ids1"]
        return SCRIPTS["position"], names, [self._candidate()]

    def begun(self, answer: Any) -> None:
        first = not self.position.done()
        position = self._note(answer)
        self._steady = True
        if first:
            self.position.set_result(position)
        else:
            self._receiver.restored(self.topic, position)

    def checked(self, answer: Any) -> bool:
        """All that was announced before the answer has been told: they came the same way."""
        good = bool(self._epoch_bytes == answer[0] and self._offset == answer[1])
        if not good:
            self._steady = False
        return good

    def told(self, data: bytes) -> None:
        if not self._steady:
            return
        if data[:1] == _PUBLISHED:
            try:
                _, epoch, number, event = data.split(b" ", 3)
                offset = int(number)
            except ValueError:
                self._flaw(f"What was told of {self.topic}")
                return
            self._published(epoch, offset, event)
            return
        try:
            change = _change(data)
        except ValueError:
            self._flaw(f"What was told of {self.topic}")
            return
        if change is not None:
            self._receiver.presence_changed(self.topic, change)

    def _published(self, epoch: bytes, offset: int, event: bytes) -> None:
        again = epoch == self._epoch_bytes and offset <= self._offset
        before = Position(self._epoch, self._offset)
        if epoch != self._epoch_bytes:
            self._epoch, self._epoch_bytes = epoch.decode(errors="replace"), epoch
        self._offset = offset
        position = Position(self._epoch, offset)
        if again:
            # The server tells every event once: this offset was given twice, as by an older copy of
            # the stream that somebody put back. It must not pass for one that is known already.
            self.left_off = before
            self._receiver.restored(self.topic, position)
        else:
            self._receiver.published(self.topic, Publication(position, event))

    def ended(self) -> None:
        if not self.position.done():
            self.position.set_exception(LayerUnavailable("The layer was closed meanwhile."))

    def _note(self, answer: Any) -> Position:
        self._epoch_bytes, self._offset = answer[0], answer[1]
        self._epoch = self._epoch_bytes.decode()
        return Position(self._epoch, self._offset)


def _change(data: bytes) -> PresenceChange | None:
    """What is told of members; None: it is not about members.

    :raises ValueError: it is not as the scripts say it.
    """
    if data[:1] == _ENTERED:
        _, member, info = data.split(b" ", 2)
        return PresenceChange(entered={member.decode(): info}, left=())
    if data[:1] == _LEFT:
        return PresenceChange(entered={}, left=data.decode().split(" ")[1:])
    return None


class RedisStreams(Layer):
    """The stream part of `layer.RedisLayer`."""

    _engine: Engine
    _publishing: Publishing
    _receiver: Receiver | None

    def _channel(self, topic: str) -> bytes:
        return keys.stream_keys(self._engine.root, topic)[0]

    async def publish(
        self, topic: str, data: bytes, history: History | None = None, *, once: str = ""
    ) -> Position:
        check_publish(topic, data, self.max_data, once)
        return await self._publishing.publish(topic, data, history, once)

    async def watch(self, topic: str) -> Position:
        check_name(topic)
        engine = self._engine
        engine.opened()
        assert self._receiver is not None  # noqa: S101  an open engine has been started
        watch = Watch(
            topic, self._channel(topic), self._receiver, engine.candidate, engine.flaws.add
        )
        engine.news.add(watch)
        try:
            async with asyncio.timeout(engine.timeout):
                return await watch.position
        except TimeoutError:
            engine.news.remove(watch)
            raise LayerUnavailable(f"{topic} could not be watched in time.") from None
        except BaseException:
            engine.news.remove(watch)
            raise

    async def unwatch(self, topic: str) -> None:
        check_name(topic)
        self._engine.opened()
        subscription = self._engine.news.get(self._channel(topic))
        if subscription is not None:
            self._engine.news.remove(subscription)

    async def read(self, topic: str, since: Position, limit: int = 100) -> Page | Gap:
        check_name(topic)
        check_limit(limit)
        watch = self._engine.news.get(self._channel(topic))
        if isinstance(watch, Watch) and since == watch.left_off:
            position = await self.position(topic)
            watch.left_off = None
            return Gap(position)
        answer = await self._engine.run(
            "read",
            keys.stream_keys(self._engine.root, topic),
            since.epoch.encode(),
            b"%d" % since.offset,
            b"%d" % min(limit, PAGE_EVENTS),
            b"%d" % PAGE_BYTES,
            self._engine.candidate(),
        )
        position = position_of(self._engine, topic, answer)
        if len(answer) < 4:
            return Gap(position)
        events = [
            Publication(Position(position.epoch, offset), data)
            for offset, data in enumerate(answer[3], since.offset + 1)
        ]
        if not events and since != position:
            return Gap(position)  # the next one is corrupt
        return Page(events, position)

    async def position(self, topic: str) -> Position:
        check_name(topic)
        names = keys.stream_keys(self._engine.root, topic)
        return position_of(
            self._engine, topic, await self._engine.run("position", names, self._engine.candidate())
        )
