"""The state of streams: what the memory layer and the embedded broker run on.

What lives here: `Store`, pure and synchronous, with an injected clock: the streams of all topics
and who watches them, and who is present there (`presence_store`).
What must not: sockets, asyncio, timers, or telling anybody; whoever owns a store announces.

Memory is bounded: a stream that nobody watches, that keeps no event and that was not used for
`IDLE_SECONDS` (or its history's seconds, if longer) is forgotten, and a later use begins a new
epoch.

Where epochs come from: the store has one *current epoch*, and a stream takes it when it comes into
being. A topic without a stream therefore stands at (current epoch, 0) at no cost, and whoever was
told so can resume from there once something is published. When a stream that has published in the
current epoch is forgotten, the store moves to a new epoch: so one topic never has two lives under
one name, and no old position can be taken for one of a new life.
"""

from __future__ import annotations

import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable
from itertools import islice
from typing import Generic, TypeVar

from seaway.layers.base import (
    PUBLISHED_ONCE_SECONDS,
    Gap,
    History,
    Page,
    Position,
    PresenceChange,
    Publication,
)
from seaway.layers.memory.presence_store import PresenceStore
from seaway.layers.memory.stored_stream import (
    NO_HISTORY,
    NoStreamJournal,
    StoredStream,
    StreamJournal,
)

#: Who watches, and who owns members: one per process that uses the store.
P = TypeVar("P", bound=Hashable)

#: A page ends when it holds so many bytes: several thousand ordinary events, one frame on the wire.
PAGE_BYTES = 4 * 1024 * 1024
#: And at the latest with so many.
PAGE_EVENTS = 10_000
#: Streams that one `Store.sweep` looks at: under a millisecond of work.
SWEEP_STREAMS = 1000


class Store(Generic[P]):
    """The streams of all topics. ``clock`` gives seconds that never go back.

    :ivar presence: who is present on them.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        journal: StreamJournal | None = None,
    ) -> None:
        self._clock = clock
        self._journal: StreamJournal = journal or NoStreamJournal()
        self._journaled = journal is not None
        self.epoch = _new_epoch()
        self._streams: dict[str, StoredStream[P]] = {}
        #: (topic, once) → (to be remembered until, position), the oldest first.
        self._once: OrderedDict[tuple[str, str], tuple[float, Position]] = OrderedDict()
        self._to_sweep: list[str] = []
        #: What each process watches.
        self._watched: dict[P, set[str]] = {}
        self.presence: PresenceStore[P] = PresenceStore(clock)

    def attach(self, process: P, lease: float = math.inf) -> None:
        """Make a process known, before it watches or enters anything."""
        self._watched[process] = set()
        self.presence.attach(process, lease)

    def drop(self, process: P) -> dict[str, PresenceChange]:
        """Forget a process: its watches end, its members leave. Unknown: nothing."""
        for topic in self._watched.pop(process, ()):
            self._end_watch(process, topic)
        return self.presence.drop(process)

    # Streams -------------------------------------------------------------------------------------

    def published(self, topic: str, once: str) -> Position | None:
        """Where an event stands that was published with this ``once``, if that is remembered."""
        if not once:
            return None
        now = self._clock()
        while self._once:
            key, (until, _) = next(iter(self._once.items()))
            if until > now:
                break
            del self._once[key]
        found = self._once.get((topic, once))
        return None if found is None else found[1]

    def publish(
        self, topic: str, data: bytes, history: History | None, once: str = ""
    ) -> Publication:
        """Append one event and trim to ``history``, which counts until the next publish.

        :param once: to be remembered; look with `published` first.
        """
        now = self._clock()
        stream = self._streams.get(topic) or self._open(topic, now)
        stream.offset += 1
        stream.used = now
        publication = Publication(Position(stream.epoch, stream.offset), data)
        if history is None:
            stream.history = NO_HISTORY
            stream.kept.clear()
        else:
            stream.history = history
            stream.kept.append((now, publication))
            stream.trim(now)
        if once:
            self._once[topic, once] = (now + PUBLISHED_ONCE_SECONDS, publication.position)
        if self._journaled:
            self._journal.stream_changed(topic, stream)
        return publication

    def watchers(self, topic: str) -> Collection[P]:
        """Who watches the topic; not to be kept or changed."""
        stream = self._streams.get(topic)
        return stream.watchers.keys() if stream is not None else ()

    def watch(self, topic: str, process: P) -> Position:
        """Count a process among the topic's watchers. Again: nothing but the position."""
        now = self._clock()
        stream = self._streams.get(topic) or self._open(topic, now)
        stream.used = now
        stream.watchers[process] = None
        self._watched[process].add(topic)
        return stream.position()

    def unwatch(self, topic: str, process: P) -> None:
        """Undo that. Not watched: nothing."""
        self._watched[process].discard(topic)
        self._end_watch(process, topic)

    def position(self, topic: str) -> Position:
        """Where the stream stands; (current epoch, 0) for a topic without one."""
        stream = self._streams.get(topic)
        if stream is None:
            return Position(self.epoch, 0)
        stream.used = self._clock()
        return stream.position()

    def read(self, topic: str, since: Position, limit: int) -> Page | Gap:
        """What follows ``since``: at most ``limit`` events, `PAGE_EVENTS`, about `PAGE_BYTES`."""
        position = self.position(topic)
        if since.epoch != position.epoch or since.offset > position.offset or since.offset < 0:
            return Gap(position)
        stream = self._streams.get(topic)
        if stream is None or since.offset == position.offset:
            return Page((), position)
        stream.trim(self._clock())
        skip = len(stream.kept) - (position.offset - since.offset)
        if skip < 0:
            return Gap(position)
        publications: list[Publication] = []
        size = 0
        for _, publication in islice(stream.kept, skip, skip + min(limit, PAGE_EVENTS)):
            size += len(publication.data)
            if size > PAGE_BYTES and publications:
                break
            publications.append(publication)
        return Page(publications, position)

    # Forgetting ----------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Trim and forget a bounded number of streams; call it about once a second."""
        if not self._to_sweep:
            self._to_sweep = list(self._streams)
        now = self._clock()
        renew_epoch = False
        for topic in self._to_sweep[-SWEEP_STREAMS:]:
            stream = self._streams.get(topic)
            if stream is None:
                continue
            if stream.trim(now):
                self._journal.stream_changed(topic, stream)
            # One that never published in the current epoch stands where it would without a stream.
            pristine = stream.offset == 0 and stream.epoch == self.epoch and not stream.watchers
            if pristine or stream.idle(now):
                del self._streams[topic]
                self._journal.stream_forgotten(topic)
                renew_epoch |= stream.offset > 0 and stream.epoch == self.epoch
        del self._to_sweep[-SWEEP_STREAMS:]
        if renew_epoch:
            self.epoch = _new_epoch()
            self._journal.epoch_changed(self.epoch)

    def restore(
        self,
        topic: str,
        position: Position,
        history: History,
        kept: Iterable[tuple[float, Publication]],
    ) -> None:
        """Put back what a journal has kept of a stream: (when by this store's clock, event)."""
        stream = self._streams[topic] = StoredStream(position.epoch, self._clock())
        stream.offset = position.offset
        stream.history = history
        stream.kept.extend(kept)

    def __len__(self) -> int:
        """How many streams are held in memory."""
        return len(self._streams)

    # Inside --------------------------------------------------------------------------------------

    def _open(self, topic: str, now: float) -> StoredStream[P]:
        stream = self._streams[topic] = StoredStream(self.epoch, now)
        return stream

    def _end_watch(self, process: P, topic: str) -> None:
        stream = self._streams.get(topic)
        if stream is not None:
            stream.watchers.pop(process, None)
            stream.used = self._clock()


def _new_epoch() -> str:
    """Eight URL-safe characters: 48 random bits, more than enough never to meet again."""
    return secrets.token_urlsafe(6)
