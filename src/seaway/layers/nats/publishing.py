"""Publishing: each topic's events one message after the other, each on the condition that the one
before it is still the last.

What lives here: `Publisher`. What must not: watching and reading.

What is published while a message is under way goes out together with the next one: so the number of
events a second is not bound by the way to the server and back, nor by others who publish on the
same topic and make the condition fail. When it fails, where the topic stands is looked up, and the
message is sent again under its new offset. Of a message of which it is not known whether it was
stored, it is found out before it is sent under another condition; so nothing is stored twice.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque

from seaway.exceptions import LayerError, LayerUnavailable
from seaway.layers.base import History, Position
from seaway.layers.nats import events, headers
from seaway.layers.nats.answers import Conflict, sequence_of
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.jetstream import Condition, JetStream, condition_values
from seaway.layers.nats.requests import Message, NoAnswer
from seaway.layers.nats.topics import Standing, Topic, Topics

logger = logging.getLogger("seaway.layers")

#: Events that one message holds at most.
TOGETHER = 500
#: Messages after which what a topic's history no longer needs is removed.
TRIM_AFTER = 100


class _Event:
    __slots__ = ("data", "deadline", "future", "history", "id")

    def __init__(
        self,
        data: bytes,
        history: History | None,
        future: asyncio.Future[Position],
        deadline: float,
        id_: str,
    ) -> None:
        self.id = id_
        self.data = data
        self.history = history
        self.future = future
        self.deadline = deadline


def _together(first: _Event, next_: _Event) -> bool:
    return not first.id and not next_.id and first.history == next_.history


class _Letter:
    """Events that go out as one message.

    :ivar doubt: the standing on whose condition it was sent without an answer, if it was.
    """

    __slots__ = ("body", "doubt", "events", "history", "id", "sizes")

    def __init__(self, events_: list[_Event]) -> None:
        self.events = events_
        self.history = events_[0].history
        self.id = events_[0].id or secrets.token_hex(6)
        self.sizes = [len(event.data) for event in events_]
        self.body = b"".join([event.data for event in events_])
        self.doubt: Standing | None = None

    @property
    def deadline(self) -> float:
        return self.events[0].deadline

    def header(self, standing: Standing) -> bytes:
        position = Position(standing.epoch, standing.offset + 1)
        values = events.header_values(position, self.id, self.history, self.sizes)
        values.update(condition_values(Condition(standing.sequence)))
        return headers.block(values)

    def fail(self, error: LayerError) -> None:
        for event in self.events:
            if not event.future.done():
                # One of its own for each: their tracebacks differ.
                kind = LayerUnavailable if isinstance(error, LayerUnavailable) else LayerError
                event.future.set_exception(kind(str(error)))


class _Line:
    """The events of one topic that wait, and whether a message of it is under way."""

    __slots__ = ("busy", "since_trim", "topic", "waiting")

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.waiting: deque[_Event] = deque()
        self.busy = False
        self.since_trim = 0


class Publisher:
    """All publishing of this process."""

    def __init__(self, engine: Engine, jetstream: JetStream, topics: Topics) -> None:
        self._engine = engine
        self._jetstream = jetstream
        self._topics = topics
        self._lines: dict[str, _Line] = {}
        self._trims: dict[str, int] = {}
        self.max_bytes = 0

    async def publish(
        self, name: str, data: bytes, history: History | None, id_: str = ""
    ) -> Position:
        """Publish an event; with an ``id_``, alone in a message of that id."""
        engine = self._engine
        line = self._lines.get(name)
        if line is None:
            line = self._lines[name] = _Line(self._topics.get(name))
        future: asyncio.Future[Position] = engine.loop.create_future()
        deadline = engine.loop.time() + engine.timeout
        line.waiting.append(_Event(data, history, future, deadline, id_))
        if not line.busy:
            self._next(line)
        return await future

    # One message after the other -----------------------------------------------------------------

    def _next(self, line: _Line) -> None:
        letter = self._compose(line)
        if letter is None:
            line.busy = False
            self._lines.pop(line.topic.name, None)
            return
        line.busy = True
        engine = self._engine
        link, standing = engine.link, line.topic.standing
        if link is None or standing is None:
            engine.spawn(self._insist(line, letter))
            return
        header = letter.header(standing)
        answer = engine.requests.send(
            link, line.topic.subject, letter.body, header, letter.deadline
        )
        answer.add_done_callback(lambda done: self._answered(line, letter, standing, done))

    def _compose(self, line: _Line) -> _Letter | None:
        taken: list[_Event] = []
        size = 0
        waiting = line.waiting
        while waiting and len(taken) < TOGETHER:
            event = waiting[0]
            size += len(event.data)
            if taken and (size > self.max_bytes or not _together(taken[0], event)):
                break
            waiting.popleft()
            if not event.future.done():
                taken.append(event)
        return _Letter(taken) if taken else None

    def _answered(
        self, line: _Line, letter: _Letter, standing: Standing, done: asyncio.Future[Message]
    ) -> None:
        try:
            sequence = sequence_of(done.result().data)
        except Exception as error:  # noqa: BLE001  `_insist` meets it again and says which it is
            if isinstance(error, NoAnswer):
                letter.doubt = standing
            elif isinstance(error, Conflict) and line.topic.standing is standing:
                line.topic.standing = None
            if self._engine.trouble:
                letter.fail(LayerUnavailable(f"The layer is {self._engine.trouble}."))
                self._next(line)
                return
            self._engine.spawn(self._insist(line, letter))
            return
        self._stored(line, letter, standing.epoch, standing.offset + 1, sequence)
        self._next(line)

    def _stored(self, line: _Line, letter: _Letter, epoch: str, offset: int, sequence: int) -> None:
        history = letter.history
        size, seconds = (history.size, history.seconds) if history is not None else (0, 0.0)
        topic = line.topic
        count = len(letter.events)
        topic.learn(Standing(sequence, epoch, offset + count - 1, size, seconds))
        topic.places.note(epoch, offset, sequence)
        self._topics.epochs.see(sequence)
        for at, event in enumerate(letter.events, offset):
            if not event.future.done():
                event.future.set_result(Position(epoch, at))
        if size:
            self._trim_sometimes(topic, size)

    # Against resistance --------------------------------------------------------------------------

    async def _insist(self, line: _Line, letter: _Letter) -> None:
        try:
            await self._insist_until(line, letter)
        except LayerError as error:
            letter.fail(error)
        except BaseException:
            letter.fail(LayerUnavailable(f"The layer is {self._engine.trouble or 'closing'}."))
            raise
        finally:
            self._next(line)

    async def _insist_until(self, line: _Line, letter: _Letter) -> None:
        topic, deadline = line.topic, letter.deadline
        while True:
            standing = letter.doubt or topic.standing or await self._topics.look(topic, deadline)
            try:
                answer = await self._engine.ask(
                    topic.subject, letter.body, letter.header(standing), deadline
                )
                sequence = sequence_of(answer.data)
            except Conflict as conflict:
                topic.standing = None
                if letter.doubt is not None and await self._was_stored(
                    line, letter, conflict.last, deadline
                ):
                    return
                letter.doubt = None
                self._jetstream.api.check_time(deadline, LayerError("others were always faster"))
            except NoAnswer as error:
                letter.doubt = standing
                self._jetstream.api.check_time(deadline, error)
            except self._jetstream.api.PASSING as error:
                await self._jetstream.api.pause(deadline, error)
            else:
                self._stored(line, letter, standing.epoch, standing.offset + 1, sequence)
                return

    async def _was_stored(self, line: _Line, letter: _Letter, last: int, deadline: float) -> bool:
        """Whether one of the attempts without an answer had succeeded.

        :param last: the last sequence of the topic that made the condition fail.
        :raises LayerUnavailable: that cannot be found out any more.
        """
        doubt = letter.doubt
        assert doubt is not None  # noqa: S101  the caller has looked
        standing = await self._topics.look(line.topic, deadline, least=last)
        pieces = self._jetstream.archive.through(
            self._topics.stream, line.topic.subject, doubt.sequence + 1, standing.sequence, 100
        )
        async for piece in pieces:
            for stored in piece:
                found = events.parse(stored.header, len(stored.data))
                if found is None:
                    continue
                if found.id == letter.id:
                    self._stored(line, letter, found.epoch, found.offset, stored.sequence)
                    return True
                if found.epoch != doubt.epoch or found.offset <= doubt.offset + 1:
                    return False  # another one has taken the place
                raise LayerUnavailable("It is not known whether the event was published.")
        return False

    # What is no longer needed --------------------------------------------------------------------

    def _trim_sometimes(self, topic: Topic, size: int) -> None:
        count = self._trims.pop(topic.name, 0) + 1
        if count >= max(TRIM_AFTER, size):
            count = 0
            self._engine.spawn(self._jetstream.purge(self._topics.stream, topic.subject, keep=size))
        self._trims[topic.name] = count
        if len(self._trims) > 10_000:
            del self._trims[next(iter(self._trims))]
