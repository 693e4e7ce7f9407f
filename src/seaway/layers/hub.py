"""The hub: this process's table of topics and their subscribers.

What lives here: joining and leaving streams, what the layer announces, gaps.
What must not: knowledge of any dialect, transport or engine.

The order of things, on which the guarantee rests: a stream is watched before the first position is
taken; ``received`` grows by one without a hole, or a repair reads the hole from the layer, or
everybody is told `gap`; a batch is flushed to all LIVE subscriptions (`fanout`); one that cannot
take it keeps its cursor and reads on from there when it can (`catching_up`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from seaway.exceptions import CloseCode, LayerError
from seaway.layers.background import Background
from seaway.layers.base import Gap, Layer, Position, PresenceChange, Publication
from seaway.layers.catching_up import read_on, repair, write_recent
from seaway.layers.fanout import FanOut
from seaway.layers.presence_fanout import PresenceFanOut
from seaway.layers.stream import Encoding, Outlet, State, Stream, Subscription, Unsayable

logger = logging.getLogger("seaway.hub")


class Hub:
    """Topic → subscribers in this process. Every method belongs on the layer's event loop."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self._loop = asyncio.get_running_loop()
        self._streams: dict[str, Stream] = {}
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._stopping: dict[str, asyncio.Task[None]] = {}
        self._background = Background(_failed)
        self._spawn = self._background.spawn
        self._fanout = FanOut(self._loop, self._fall_behind, self._flushed, self._tell_gap)
        self._enqueue = self._fanout.enqueue
        self._presence = PresenceFanOut(layer, self._streams, self._spawn)

    async def close(self) -> None:
        """Stop all background work. The layer is closed by its owner."""
        await self._background.end()

    # Subscribing ---------------------------------------------------------------------------------

    async def subscribe(
        self,
        topic: str,
        outlet: Outlet,
        encoding: Encoding,
        *,
        replayable: bool,
        counted: bool = False,
    ) -> Subscription:
        """Take a place in a topic's stream, held at its present position (``cursor``).

        :param replayable: whether the topic keeps history; without, a slow client is closed.
        :param counted: whether the topic's subscribers are told how many are present, not who.
        :raises LayerError: the topic cannot be watched.
        """
        stream = self._streams.get(topic)
        if stream is None:
            stream = self._streams[topic] = Stream(topic)
            self._starting[topic] = self._spawn(self._start(stream))
        stream.counted = counted
        subscription = Subscription(stream, outlet, encoding, replayable=replayable)
        stream.hold(subscription)
        starting = self._starting.get(topic)
        if starting is not None:
            try:
                await asyncio.shield(starting)
            except BaseException:
                self.unsubscribe(subscription)
                raise
        subscription.cursor = stream.received
        return subscription

    async def recover(self, subscription: Subscription, since: Position) -> bool:
        """Move a held subscription back to ``since``; False when events after it are gone."""
        stream = subscription.stream
        if stream.recent_after(since) is None:
            answer = await self.layer.read(stream.topic, since, limit=1)
            if isinstance(answer, Gap):
                return False
        subscription.cursor = since
        return True

    def activate(self, subscription: Subscription) -> None:
        """Start delivery after the cursor of a held subscription. Writes what is at hand now."""
        if subscription.state is State.HELD:
            subscription.state = State.BEHIND
            self.catch_up(subscription)

    def unsubscribe(self, subscription: Subscription) -> None:
        """Give the place up. Idempotent. The last one of a topic ends its watch."""
        if subscription.state is State.ENDED:
            return
        subscription.stream.end(subscription)
        self._stop_if_empty(subscription.stream.topic)

    def catch_up(self, subscription: Subscription) -> None:
        """Write to a subscription what it lacks, as far as its outlet takes it. Called when the
        outlet becomes writable, and after each flush."""
        if subscription.state is State.LIVE:
            if subscription.stale:
                subscription.stale = False
                self._presence.tell(subscription.stream, subscription)
        elif not subscription.catching_up:
            try:
                lacks_more = write_recent(subscription)
            except Unsayable as error:
                self._cannot_be_told(subscription, error)
                return
            if lacks_more:
                subscription.catching_up = True
                self._spawn(self._read_on(subscription))
            else:
                self._go_live_if_level(subscription)

    # A stream's life -----------------------------------------------------------------------------

    async def _start(self, stream: Stream) -> None:
        topic = stream.topic
        try:
            stopping = self._stopping.get(topic)
            if stopping is not None:
                await asyncio.shield(stopping)
            position = await self.layer.watch(topic)
        except BaseException:
            if self._streams.get(topic) is stream:
                del self._streams[topic]
            raise
        finally:
            self._starting.pop(topic, None)
        stream.received = stream.flushed = position
        self._settle(stream)

    async def _stop(self, stream: Stream) -> None:
        topic = stream.topic
        try:
            starting = self._starting.get(topic)
            if starting is not None:
                await asyncio.wait([starting])
            if stream.empty and self._streams.get(topic) is stream:
                # Out of the table before the await: who subscribes meanwhile makes a new stream,
                # whose start waits for this task, so that unwatch comes before its watch.
                del self._streams[topic]
                await self.layer.unwatch(topic)
        except LayerError as error:
            logger.warning("unwatch failed topic=%s error=%s", topic, error)
        finally:
            self._stopping.pop(topic, None)
            self._stop_if_empty(topic)  # a stream that came and emptied while this one stopped

    def _stop_if_empty(self, topic: str) -> None:
        stream = self._streams.get(topic)
        if stream is not None and stream.empty and topic not in self._stopping:
            self._stopping[topic] = self._spawn(self._stop(stream))

    def _settle(self, stream: Stream) -> None:
        """Look at what was announced while the stream started or was repaired."""
        stream.steady = True
        backlog, stream.backlog = stream.backlog, deque(maxlen=stream.backlog.maxlen)
        for publication in backlog:
            self.published(stream.topic, publication)

    # What the layer announces (layers.base.Receiver) ---------------------------------------------

    def published(self, topic: str, publication: Publication) -> None:
        """Receiver: take one event, drop a repeated one, repair a hole."""
        stream = self._streams.get(topic)
        if stream is None:
            return
        if not stream.steady:
            stream.backlog.append(publication)
            return
        position, received = publication.position, stream.received
        if position.epoch == received.epoch:
            if position.offset == received.offset + 1:
                stream.received = position
                self._enqueue(stream, publication)
                return
            if position.offset <= received.offset:
                return
        stream.backlog.append(publication)
        self._repair(stream)

    def presence_changed(self, topic: str, change: PresenceChange) -> None:
        """Receiver: members came or went."""
        self._presence.changed(topic, change)

    def restored(self, topic: str, position: Position) -> None:
        """Receiver: after an outage, read what was missed and list the members anew."""
        stream = self._streams.get(topic)
        if stream is None:
            return
        if stream.steady and position != stream.received:
            self._repair(stream)
        self._presence.tell(stream)

    def _accept(self, stream: Stream, publication: Publication) -> None:
        """Take an event that a repair has read."""
        stream.received = publication.position
        self._enqueue(stream, publication)

    # Behind, and gaps ----------------------------------------------------------------------------

    def _fall_behind(self, subscription: Subscription, cursor: Position) -> None:
        if subscription.state is not State.LIVE:
            return  # a write to another one of this batch ended it
        if subscription.replayable:
            subscription.stream.fall_behind(subscription, cursor)
            return
        topic = subscription.stream.topic
        self.unsubscribe(subscription)
        reason = f"too slow for {topic}, which keeps no history"[:120]
        subscription.outlet.close(CloseCode.SLOW_CLIENT, reason)

    def _flushed(self, stream: Stream) -> None:
        for subscription in list(stream.behind):
            self.catch_up(subscription)

    async def _read_on(self, subscription: Subscription) -> None:
        try:
            found = await read_on(self.layer, subscription)
        except Unsayable as error:
            self._cannot_be_told(subscription, error)
            return
        except LayerError as error:
            logger.warning("catch-up failed topic=%s error=%s", subscription.stream.topic, error)
            found = False
        finally:
            subscription.catching_up = False
        if found:
            self._go_live_if_level(subscription)
        else:
            self._tell_gap(subscription)

    def _go_live_if_level(self, subscription: Subscription) -> None:
        stream = subscription.stream
        if subscription.state is State.BEHIND and subscription.cursor == stream.flushed:
            stream.go_live(subscription)
            if subscription.stale:
                self.catch_up(subscription)

    def _tell_gap(self, subscription: Subscription) -> None:
        if subscription.state is not State.ENDED:
            subscription.outlet.write(subscription.encoding.gap(subscription.stream.topic))
            self.unsubscribe(subscription)

    def _cannot_be_told(self, subscription: Subscription, error: Unsayable) -> None:
        topic = subscription.stream.topic
        logger.error("gap topic=%s an event cannot be told: %s", topic, error)
        self._tell_gap(subscription)

    def _repair(self, stream: Stream) -> None:
        stream.steady = False
        self._spawn(self._read_hole(stream))

    async def _read_hole(self, stream: Stream) -> None:
        """Bring ``received`` up to the layer's position; what is announced meanwhile waits."""
        now = await repair(self.layer, stream, self._accept, self._watched)
        if not self._watched(stream):
            return
        if now is not None:
            logger.warning("gap topic=%s epoch=%s offset=%d", stream.topic, now.epoch, now.offset)
            stream.forget()
            stream.received = stream.flushed = now
            for subscription in stream.subscriptions():
                # A held one's snapshot may be of before or after: its cursor, which the layer no
                # longer knows, makes `activate` find out and tell it.
                if subscription.state is not State.HELD:
                    self._tell_gap(subscription)
        self._settle(stream)

    def _watched(self, stream: Stream) -> bool:
        return self._streams.get(stream.topic) is stream


def _failed(error: BaseException) -> None:
    if not isinstance(error, LayerError):
        logger.error("the hub failed", exc_info=error)
