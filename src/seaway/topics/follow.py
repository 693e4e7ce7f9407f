"""A topic's events in code: for bots, bridges and tests.

What lives here: `Follower`, a subscriber of the hub without a connection.
What must not: joining; a follower is the project's own code and asks nobody for permission.

The hub runs on its home's loop and a follower on its user's, which may be another thread's. What
crosses over is a deque, whose ends are safe to use from two threads, and one wake-up call.

When the layer moves to another loop (a server adopts it), or is closed and opened again, a follower
moves along: it goes on after the last event that it gave, or says that some were missed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from functools import partial
from types import TracebackType
from typing import Any

import msgspec

from seaway.conf import layer_home
from seaway.exceptions import EventsMissed, LayerUnavailable
from seaway.layers.base import Layer, Position, Publication
from seaway.layers.hub import Hub
from seaway.layers.stream import EventsAlone, State, Subscription
from seaway.topics.decoding import event_object

#: Frames that wait for their reader, over which the hub keeps a cursor instead.
HIGH_WATER = 256
LOW_WATER = 64

#: Lines between those of events: some were missed; the layer has left the hub's loop.
_GAP, _MOVED = b"gap\n", b"moved\n"


class Event(msgspec.Struct, frozen=True):
    """One event of a topic."""

    name: str
    payload: Any
    position: Position


class _Line(msgspec.Struct, array_like=True):
    epoch: str
    offset: int
    content: _Content


class _Content(msgspec.Struct):
    event: str
    data: Any = None


class _Lines(EventsAlone):
    """The encoding of all followers: a line for each event."""

    def event(self, topic: str, publication: Publication) -> bytes:
        epoch, offset = publication.position.epoch, publication.position.offset
        head = msgspec.json.encode([epoch, offset])[:-1]
        return b"%b,%b]\n" % (head, event_object(publication.data))

    def gap(self, topic: str) -> bytes:
        return _GAP


_LINES = _Lines()
_decode = msgspec.json.Decoder(_Line).decode


class Follower:
    """Made by `TopicAddress.follow`; an asynchronous context manager and iterator."""

    def __init__(self, topic: str, *, replayable: bool, since: Position | None) -> None:
        self.topic = topic
        self._replayable = replayable
        self._since = since
        self._frames: deque[bytes] = deque()
        self._events: deque[bytes] = deque()
        #: The last event's that was given, or where following began.
        self._position: Position | None = None
        self._hub: Hub | None = None
        self._subscription: Subscription | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived = asyncio.Event()
        self._put_back: deque[Event | BaseException] = deque()
        self._rejoining: asyncio.Task[None] | None = None
        self.writable = True

    # The user's side -----------------------------------------------------------------------------

    async def __aenter__(self) -> Follower:
        self._loop = asyncio.get_running_loop()
        await self._join(self._since)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await layer_home().arun(self._unsubscribe)

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            yield await self.receive()

    async def receive(self) -> Event:
        """The next event. Safe to cancel.

        :raises EventsMissed: some were published that cannot be read any more; the next call goes
            on with what is published from now on.
        :raises LayerUnavailable: the layer cannot be asked.
        """
        if self._loop is None:
            raise RuntimeError("Enter the follower first: async with topic.follow() as follower.")
        if self._put_back:
            thing = self._put_back.pop()
            if isinstance(thing, BaseException):
                raise thing
            return thing
        while True:
            await self._fill()
            line = self._events[0]
            if line == _MOVED:
                await self._rejoin(self._position)
            elif line == _GAP:
                await self._rejoin(None)
            self._events.popleft()
            if line == _GAP:
                raise EventsMissed(f"Events of {self.topic} were missed.")
            if line != _MOVED:
                found = _decode(line)
                self._position = Position(found.epoch, found.offset)
                return Event(found.content.event, found.content.data, self._position)

    async def put_back(self, thing: Event | BaseException) -> None:
        """For `select`: nobody has looked at it, and the next `receive` gives it."""
        self._put_back.append(thing)

    async def _fill(self) -> None:
        """Wait until there is something in ``_events``."""
        while not self._events:
            # First of all: whoever is cancelled meanwhile comes by here again.
            if not self.writable and len(self._frames) <= LOW_WATER:
                await layer_home().arun(self._go_on)
            if self._frames:
                self._events.extend(self._frames.popleft().splitlines(keepends=True))
                continue
            self._arrived.clear()
            if not self._frames:
                await self._arrived.wait()

    async def _rejoin(self, since: Position | None) -> None:
        """Once for each gap or move, even if whoever waits for it is cancelled and comes again."""
        if self._rejoining is None:
            self._rejoining = asyncio.create_task(self._join(since))
        try:
            await asyncio.shield(self._rejoining)
        finally:
            if self._rejoining is not None and self._rejoining.done():
                self._rejoining = None

    async def _join(self, since: Position | None) -> None:
        while not await layer_home().arun(partial(self._subscribe, since=since)):
            """The layer left that loop meanwhile."""

    # The hub's side (layers.stream.Outlet) -------------------------------------------------------

    def write(self, frame: bytes) -> None:
        if frame:
            self._frames.append(frame)
            if len(self._frames) >= HIGH_WATER:
                self.writable = False
            self._wake()

    def close(self, code: int, reason: str = "") -> None:
        """The hub gives a slow reader of a topic without history up: it has missed events."""
        self.write(_GAP)

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._arrived.set)

    # On the hub's loop ---------------------------------------------------------------------------

    async def _subscribe(self, layer: Layer, since: Position | None) -> bool:
        """False: the layer is not on this loop any more."""
        home = layer_home()
        if not home.is_here:
            return False
        hub = home.hub
        subscription = await hub.subscribe(self.topic, self, _LINES, replayable=self._replayable)
        try:
            home.when_it_leaves(self._layer_leaves)
            self._hub, self._subscription = hub, subscription
            self._position = since or subscription.cursor
            self.writable = True
            if since is None or await hub.recover(subscription, since):
                hub.activate(subscription)
                return True
        except BaseException as error:
            hub.unsubscribe(subscription)
            if isinstance(error, LayerUnavailable) and not home.is_here:
                return False
            raise
        hub.unsubscribe(subscription)
        self.write(_GAP)
        return True

    def _layer_leaves(self) -> None:
        """What the hub has written so far is still given; nothing comes after it from there."""
        hub, subscription = self._hub, self._subscription
        if hub is not None and subscription is not None and subscription.state is not State.ENDED:
            hub.unsubscribe(subscription)
            self._frames.append(_MOVED)
            self._wake()

    async def _unsubscribe(self, layer: Layer) -> None:
        home = layer_home()
        home.forget_leaving(self._layer_leaves)
        if self._subscription is not None and self._hub is home.hub:
            self._hub.unsubscribe(self._subscription)

    async def _go_on(self, layer: Layer) -> None:
        self.writable = True
        if self._subscription is not None and self._hub is layer_home().hub:
            self._hub.catch_up(self._subscription)
