"""Streams and presence over the embedded broker: each method one request and its answer.

What lives here: `LocalStreams`, the client's side of `wire` but for connecting (`client`) and
channels (`client_queues`). What must not: state of topics; the broker has it, and the hub.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator

from seaway.exceptions import LayerError
from seaway.layers.base import (
    Gap,
    Headcount,
    History,
    Layer,
    Page,
    Position,
    Publication,
    check_limit,
    check_member,
    check_name,
    check_publish,
    check_size,
    is_legal_name,
)
from seaway.layers.local import wire
from seaway.layers.local.requests import Again, Requests

#: Bytes of members that one `Enter` carries when they are entered again.
ENTER_BYTES = 1024 * 1024

#: What a member says of itself, and which person it is.
Entered = tuple[bytes, str]


class LocalStreams(Layer):
    """Streams and presence; who inherits it connects."""

    def __init__(self) -> None:
        self._watched: set[str] = set()
        self._entered: dict[str, dict[str, Entered]] = {}

    @property
    @abc.abstractmethod
    def connected(self) -> bool:
        """Whether a broker has been reached and not been lost since."""

    @abc.abstractmethod
    def _asking(self) -> Requests:
        """The requests of a layer that was started; raises `LayerUnavailable`."""

    # Streams -------------------------------------------------------------------------------------

    async def publish(
        self, topic: str, data: bytes, history: History | None = None, *, once: str = ""
    ) -> Position:
        if once or not is_legal_name(topic) or len(data) > self.max_data:
            check_publish(topic, data, self.max_data, once)
        size, seconds = (history.size, history.seconds) if history is not None else (0, 1.0)
        requests = self._asking()
        question = wire.Publish(requests.next_id(), topic, data, size, seconds, once)
        position: Position = await requests.ask(question, self.timeout, again=Again.SAME_BROKER)
        return position

    async def watch(self, topic: str) -> Position:
        requests = self._asking()
        question = wire.Watch(requests.next_id(), check_name(topic))

        def watched(_: wire.Answer) -> None:
            # At the moment that the answer is read: events may be right behind it.
            self._watched.add(topic)

        try:
            return position_of(await requests.ask(question, self.timeout, then=watched))
        except BaseException:
            self._watched.discard(topic)
            requests.tell(wire.Unwatch(requests.next_id(), topic), self.timeout)
            raise

    async def unwatch(self, topic: str) -> None:
        self._watched.discard(check_name(topic))
        if self.connected:
            requests = self._asking()
            await requests.ask(wire.Unwatch(requests.next_id(), topic), self.timeout)

    async def read(self, topic: str, since: Position, limit: int = 100) -> Page | Gap:
        check_name(topic)
        check_limit(limit)
        requests = self._asking()
        question = wire.Read(requests.next_id(), topic, since.epoch, since.offset, limit)
        answer = await requests.ask(question, self.timeout)
        if isinstance(answer, wire.Missed):
            return Gap(Position(answer.epoch, answer.offset))
        if not isinstance(answer, wire.Events):
            raise unexpected(answer)
        epoch = answer.epoch
        publications = [
            Publication(Position(epoch, offset), data)
            for offset, data in enumerate(answer.events, answer.first)
        ]
        return Page(publications, Position(epoch, answer.offset))

    async def position(self, topic: str) -> Position:
        requests = self._asking()
        question = wire.Where(requests.next_id(), check_name(topic))
        return position_of(await requests.ask(question, self.timeout))

    # Presence ------------------------------------------------------------------------------------

    async def enter(self, topic: str, member: str, info: bytes, person: str = "") -> None:
        check_member(topic, member, person)
        check_size(info, self.max_data)
        requests = self._asking()
        entered = self._entered.setdefault(topic, {})
        before = entered.get(member)
        now = entered[member] = (info, person)
        try:
            await requests.ask(_enter(requests, topic, {member: now}), self.timeout)
        except BaseException:
            self._undo_enter(requests, topic, member, now, before)
            raise

    async def leave(self, topic: str, member: str) -> None:
        check_member(topic, member)
        self._forget_member(topic, member)
        if self.connected:
            requests = self._asking()
            await requests.ask(wire.Leave(requests.next_id(), topic, member), self.timeout)

    async def members(self, topic: str) -> dict[str, bytes]:
        requests = self._asking()
        question = wire.Members(requests.next_id(), check_name(topic))
        answer = await requests.ask(question, self.timeout)
        if not isinstance(answer, wire.Present):
            raise unexpected(answer)
        return dict(answer.members)

    async def headcount(self, topic: str) -> Headcount:
        requests = self._asking()
        question = wire.Headcount(requests.next_id(), check_name(topic))
        answer = await requests.ask(question, self.timeout)
        if not isinstance(answer, wire.Heads):
            raise unexpected(answer)
        return Headcount(answer.members, answer.people)

    def enter_again(self, requests: Requests) -> None:
        """Tell a broker that does not know them of all members that were entered here."""
        for topic, members in self._entered.items():
            for part in _portions(members):
                requests.tell(_enter(requests, topic, part), self.timeout)

    def _forget_member(self, topic: str, member: str) -> None:
        entered = self._entered.get(topic)
        if entered is not None:
            entered.pop(member, None)
            if not entered:
                del self._entered[topic]

    def _undo_enter(
        self, requests: Requests, topic: str, member: str, now: Entered, before: Entered | None
    ) -> None:
        """The caller was told that it failed: the broker must not believe otherwise."""
        if self._entered.get(topic, {}).get(member) is not now:
            return
        if before is None:
            self._forget_member(topic, member)
            requests.tell(wire.Leave(requests.next_id(), topic, member), self.timeout)
        else:
            self._entered[topic][member] = before
            requests.tell(_enter(requests, topic, {member: before}), self.timeout)


def position_of(answer: wire.Answer) -> Position:
    """What an answer says, known to be a position."""
    if not isinstance(answer, wire.At):
        raise unexpected(answer)
    return Position(answer.epoch, answer.offset)


def unexpected(answer: wire.Answer) -> LayerError:
    return LayerError(f"The broker gave an answer to another question: {type(answer).__name__}.")


def _enter(requests: Requests, topic: str, members: dict[str, Entered]) -> wire.Enter:
    infos = {member: info for member, (info, _) in members.items()}
    people = {member: person for member, (_, person) in members.items() if person}
    return wire.Enter(requests.next_id(), topic, infos, people)


def _portions(members: dict[str, Entered]) -> Iterator[dict[str, Entered]]:
    """Cut so that each stays well below a frame's limit."""
    part: dict[str, Entered] = {}
    size = 0
    for member, entered in members.items():
        part[member] = entered
        size += len(entered[0]) + 600
        if size > ENTER_BYTES:
            yield part
            part, size = {}, 0
    if part:
        yield part
