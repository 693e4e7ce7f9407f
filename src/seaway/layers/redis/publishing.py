"""Publishing on the Redis engine: at once, or together with what else is published on a topic.

What lives here: `Publishing`, and reading a position out of an answer.
What must not: watching and reading (`streams`), or how a script is run (`engine`).

An event goes to the engine at once when nothing of its topic is under way. Those that are published
while an answer is awaited go together, when the turn of the loop is over: in one call of the
script, which does for all of them what it would do for each (Nagle's algorithm, RFC 896). They keep
their order, and each has its own position and its own news.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from seaway.exceptions import LayerError, LayerUnavailable
from seaway.layers.base import History, Position
from seaway.layers.redis import keys
from seaway.layers.redis.engine import Engine
from seaway.layers.redis.link import pack
from seaway.layers.redis.scripts import SCRIPTS

#: At most so many events, and about so many bytes, in one call: the server does nothing else
#: meanwhile.
TOGETHER_EVENTS, TOGETHER_BYTES = 250, 256 * 1024

_PUBLISH = SCRIPTS["publish"]


class _Event(NamedTuple):
    data: bytes
    history: History | None
    future: asyncio.Future[Position]


class _Line:
    """What is published on one topic: how many calls are ``under_way``, and who waits for the end
    of this turn."""

    __slots__ = ("under_way", "waiting")

    def __init__(self) -> None:
        self.under_way = 0
        self.waiting: list[_Event] = []


class Publishing:
    """All that one layer publishes. A topic has a line while anything of it is under way."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lines: dict[str, _Line] = {}

    async def publish(
        self, topic: str, data: bytes, history: History | None, once: str
    ) -> Position:
        """As `Layer.publish`, with arguments that have been checked."""
        if once:
            return await self._call(topic, once, history, [data])
        line = self._lines.get(topic)
        if line is not None:
            loop = self._engine.loop
            future: asyncio.Future[Position] = loop.create_future()
            if not line.waiting:
                loop.call_soon(self._send_waiting, topic, line)
            line.waiting.append(_Event(data, history, future))
            return await future
        line = self._lines[topic] = _Line()
        line.under_way = 1
        try:
            return await self._call(topic, "", history, [data])
        finally:
            self._over(topic, line)

    def _over(self, topic: str, line: _Line) -> None:
        line.under_way -= 1
        if not line.under_way and not line.waiting:
            del self._lines[topic]

    def _send_waiting(self, topic: str, line: _Line) -> None:
        waiting, line.waiting = line.waiting, []
        line.under_way += 1  # until all are: it must not be over in between
        for events in _portions(waiting):
            line.under_way += 1
            self._engine.spawn(self._send(topic, line, events))
        self._over(topic, line)

    async def _send(self, topic: str, line: _Line, events: list[_Event]) -> None:
        try:
            data = [event.data for event in events]
            first = await self._call(topic, "", events[0].history, data)
        except LayerError as error:
            for event in events:
                _fail(event, type(error)(str(error)))
        except BaseException:
            for event in events:
                _fail(event, LayerUnavailable("The layer was closed meanwhile."))
            raise
        else:
            for offset, event in enumerate(events, first.offset):
                if not event.future.done():
                    event.future.set_result(Position(first.epoch, offset))
        finally:
            self._over(topic, line)

    async def _call(
        self, topic: str, once: str, history: History | None, events: list[bytes]
    ) -> Position:
        """Run the script; the position of the first of the events."""
        engine = self._engine
        slot, parts, head = _head(engine.root, topic, once)
        first = events[0]
        # What `link.pack` makes of the same parts, at a third of the cost: most of it is known.
        frame = b"*%d%b$%d\r\n%b\r\n%b%b%b$1\r\n0\r\n" % (
            parts + len(events), head, len(first), first, _kept(history), engine.packed_ids(),
            b"".join([b"$%d\r\n%b\r\n" % (len(data), data) for data in events[1:]]),
        )  # fmt: skip
        return position_of(engine, topic, await engine.run_packed(_PUBLISH, slot, frame))


def position_of(engine: Engine, topic: str, answer: Any) -> Position:
    """The position at the beginning of an answer; counts it when something was corrupt.

    :raises LayerError: there is none.
    """
    try:
        epoch, offset, corrupt = answer[:3]
        position = Position(epoch.decode(), int(offset))
    except (TypeError, ValueError, AttributeError) as error:
        raise LayerError(f"The layer's Redis answered nonsense about {topic}.") from error
    if corrupt:
        engine.flaws.add(f"The stream of {topic}")
    return position


def _fail(event: _Event, error: LayerError) -> None:
    if not event.future.done():
        event.future.set_exception(error)


def _portions(events: list[_Event]) -> Iterator[list[_Event]]:
    """Those that somebody still waits for, in their order: of one history, and within bounds."""
    part: list[_Event] = []
    size = 0
    for event in events:
        if event.future.done():
            continue
        full = size > TOGETHER_BYTES or len(part) == TOGETHER_EVENTS
        if part and (full or event.history != part[0].history):
            yield part
            part, size = [], 0
        part.append(event)
        size += len(event.data)
    if part:
        yield part


@functools.lru_cache(maxsize=1024)
def _head(root: bytes, topic: str, once: str) -> tuple[int, int, bytes]:
    """The slot of a topic, how many parts a ``publish`` has besides events, and the packed parts
    up to its keys."""
    names = keys.stream_keys(root, topic) + keys.once_keys(root, topic, once)
    parts = (b"EVALSHA", _PUBLISH.sha, b"%d" % len(names), *names)
    packed = pack(parts)
    # Two of history, two ids and the last part follow. The number of all comes before the rest.
    return keys.slot(names[0]), len(parts) + 5, packed[packed.index(b"\r\n") :]


@functools.lru_cache(maxsize=256)
def _kept(history: History | None) -> bytes:
    """How much is kept, as two packed arguments."""
    size, seconds = (history.size, history.seconds) if history is not None else (0, 1.0)
    packed = pack((b"%d" % size, b"%d" % max(1, round(min(seconds, 1e9) * 1000))))
    return packed[packed.index(b"\r\n") + 2 :]
