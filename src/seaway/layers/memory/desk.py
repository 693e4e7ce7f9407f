"""Who waits at the channels of a `QueueStore`: senders for room, receivers for messages.

What lives here: `Desk`, which serves those who wait in the order in which they came, at the moment
that something changes, with one timer for each channel at which somebody waits.
What must not: the state of channels (`queue_store`), futures or sockets: who waits is called back.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from seaway.exceptions import ChannelFull, LayerError
from seaway.layers.memory.queue_store import QueueStore
from seaway.layers.queues import Delivery

R = TypeVar("R")

#: A clock that the test stops, or that jumps, is looked at so often at most.
SHORTEST_NAP = 0.005
LONGEST_NAP = 3600.0


class Waiting(Generic[R]):
    """Somebody who waits.

    :ivar attempt: the result, None when there is none yet; may raise.
    :ivar done: called once with the result or an error.
    :ivar wanted: whether the result is still wanted.
    """

    __slots__ = ("attempt", "channel", "done", "line", "on_time_out", "timer", "wanted")

    def __init__(
        self,
        channel: str,
        attempt: Callable[[], R | None],
        done: Callable[[R | LayerError], None],
        wanted: Callable[[], bool],
    ) -> None:
        self.channel = channel
        self.attempt = attempt
        self.done = done
        self.wanted = wanted
        self.line: _Line | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.on_time_out: Callable[[], R | LayerError] | None = None

    def serve(self) -> bool:
        """Give it its result if there is one; whether it needs to wait no more."""
        if not self.wanted():
            return True
        try:
            result = self.attempt()
        except LayerError as error:
            self.done(error)
            return True
        if result is None:
            return False
        self.done(result)
        return True

    def expire(self) -> None:
        """It waited for as long as it wanted to."""
        if self.wanted() and self.on_time_out is not None:
            self.done(self.on_time_out())


_Line = OrderedDict[Waiting[Any], None]


class _Counter:
    """Those who wait at one channel. Senders by the capacity that they go by: where there is no
    room for the first of a line, there is none for those behind."""

    __slots__ = ("receivers", "senders", "timer")

    def __init__(self) -> None:
        self.receivers: _Line = OrderedDict()
        self.senders: dict[int, _Line] = {}
        self.timer: asyncio.TimerHandle | None = None


class Desk:
    """A store and those who wait at it, on the running loop. After any change of the store that
    was not made here, call `stir`."""

    def __init__(self, store: QueueStore) -> None:
        self.store = store
        self._counters: dict[str, _Counter] = {}

    def send(
        self,
        channel: str,
        attempt: Callable[[], str],
        done: Callable[[str | LayerError], None],
        *,
        capacity: int,
        wait: float,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Waiting[str] | None:
        """Do ``attempt``, `QueueStore.send`, as soon as there is room, in turn.

        ``done`` is called with the id or an error, at once or later; then it is returned who waits,
        for `leave`.
        """
        full: list[ChannelFull] = []

        def attempted() -> str | None:
            try:
                return attempt()
            except ChannelFull as error:
                full[:] = [error]
                return None

        # Room that time alone has made belongs to those who wait already.
        self.stir(channel)
        waiting = Waiting(channel, attempted, done, wanted)
        if waiting.serve():
            self.stir(channel)
            return None
        if wait <= 0:
            done(full[0])
            return None
        waiting.on_time_out = lambda: full[0]
        line = self._counter(channel).senders.setdefault(capacity, OrderedDict())
        self._line_up(waiting, line, wait)
        return waiting

    def receive(
        self,
        channel: str,
        attempt: Callable[[], list[Delivery]],
        done: Callable[[list[Delivery] | LayerError], None],
        *,
        wait: float,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Waiting[list[Delivery]] | None:
        """Do ``attempt``, `QueueStore.receive`, as soon as it gives something, in turn; as `send`.
        ``done`` gets an empty list when there was nothing in time."""
        self.stir(channel)
        waiting: Waiting[list[Delivery]] = Waiting(channel, lambda: attempt() or None, done, wanted)
        if waiting.serve():
            self.stir(channel)
            return None
        if wait <= 0:
            done([])
            return None
        waiting.on_time_out = list
        self._line_up(waiting, self._counter(channel).receivers, wait)
        return waiting

    def leave(self, waiting: Waiting[Any]) -> None:
        """Wait no more, without a call of ``done``."""
        if waiting.timer is not None:
            waiting.timer.cancel()
        if waiting.line is not None:
            waiting.line.pop(waiting, None)
            self._tidy(waiting.channel)

    def stir(self, channel: str) -> None:
        """Serve whom the present state of a channel can serve."""
        counter = self._counters.get(channel)
        if counter is None:
            return
        moved = True
        while moved:
            moved = self._serve(counter.receivers)
            for line in list(counter.senders.values()):
                moved |= self._serve(line)
        self._tidy(channel)
        self._arm(channel)

    def __len__(self) -> int:
        """How many channels somebody waits at."""
        return len(self._counters)

    # Inside --------------------------------------------------------------------------------------

    def _counter(self, channel: str) -> _Counter:
        counter = self._counters.get(channel)
        if counter is None:
            counter = self._counters[channel] = _Counter()
        return counter

    def _line_up(self, waiting: Waiting[Any], line: _Line, wait: float) -> None:
        line[waiting] = None
        waiting.line = line
        if wait < math.inf:
            loop = asyncio.get_running_loop()
            waiting.timer = loop.call_later(wait, self._time_out, waiting)
        self._arm(waiting.channel)

    def _time_out(self, waiting: Waiting[Any]) -> None:
        self.stir(waiting.channel)
        if waiting.line is not None and waiting in waiting.line:
            self.leave(waiting)
            waiting.expire()

    def _serve(self, line: _Line) -> bool:
        moved = False
        while line:
            first = next(iter(line))
            if not first.serve():
                break
            del line[first]
            if first.timer is not None:
                first.timer.cancel()
            moved = True
        return moved

    def _tidy(self, channel: str) -> None:
        counter = self._counters.get(channel)
        if counter is None:
            return
        for capacity in [capacity for capacity, line in counter.senders.items() if not line]:
            del counter.senders[capacity]
        if not counter.receivers and not counter.senders:
            if counter.timer is not None:
                counter.timer.cancel()
            del self._counters[channel]

    def _arm(self, channel: str) -> None:
        """Look again when time alone may have changed something."""
        counter = self._counters.get(channel)
        if counter is None:
            return
        if counter.timer is not None:
            counter.timer.cancel()
            counter.timer = None
        when = self.store.next_change(channel)
        if when < math.inf:
            nap = min(LONGEST_NAP, max(SHORTEST_NAP, when - self.store.clock()))
            counter.timer = asyncio.get_running_loop().call_later(nap, self.stir, channel)
