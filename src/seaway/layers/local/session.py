"""One process that is connected to the broker: its requests, and what is written to it.

What lives here: `Session`, the server side of `wire`.
What must not: state of topics (`seaway.layers.memory.store`), the other sessions (`broker`), or
what is asked about channels (`queue_session`).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from seaway.exceptions import ProtocolError
from seaway.layers.base import Gap, History, Position
from seaway.layers.local import frames, wire
from seaway.layers.local.clients import Client
from seaway.layers.local.queue_session import CHANGING, HANDLERS, done_before
from seaway.layers.local.run import Run

if TYPE_CHECKING:
    from seaway.layers.local.broker import Broker

logger = logging.getLogger("seaway.broker")

#: Bytes that may wait for a process that does not read. It is then disconnected, and recovers by
#: its positions: cheaper than the memory of everybody else.
MAX_BUFFER = 64 * 1024 * 1024


class Session(asyncio.Protocol):
    """One connected process."""

    __slots__ = (
        "_broker", "_out", "_parser", "_ready", "_run", "_store", "_transport", "client", "desk",
    )  # fmt: skip

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._store = broker.store
        self.desk = broker.desk
        self.client: Client
        self._parser = wire.requests()
        self._out: list[bytes] = []
        self._run: Run | None = None
        self._ready = False
        self._transport: asyncio.Transport | None = None

    # asyncio -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._broker.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._out.clear()
        if self._ready:
            self._broker.clients.go(self.client, self)
        self._broker.closed(self)

    def data_received(self, data: bytes) -> None:
        try:
            for request in self._parser.feed(data):
                if self._transport is None:
                    return
                self._handle(request)
        except ProtocolError as error:
            logger.warning("a client broke the protocol and was disconnected: %s", error.reason)
            self.abort()
        finally:
            if self._run is not None:
                self._end_run()
            self._broker.pass_on()

    def _handle(self, request: wire.Request) -> None:
        if not self._ready:
            self._greet(request)
            return
        kind = type(request)
        if isinstance(request, wire.Publish):
            if self.client.is_new(request.id):
                self._publish(request)
                return
        elif isinstance(request, wire.Hello):
            raise ProtocolError("a second Hello")
        self._end_run()
        if kind not in CHANGING or self.client.is_new(request.id):
            _HANDLERS[kind](self, request)
        else:
            done_before(self, request)

    def abort(self) -> None:
        """Hang up at once."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    # Writing -------------------------------------------------------------------------------------

    def push(self, frame: bytes) -> None:
        if not self._out:
            self._broker.flush_soon(self)
        self._out.append(frame)

    def write_out(self) -> None:
        """Write what is to be written."""
        out, transport = self._out, self._transport
        if len(out) == 1 and transport is not None:
            self._out = []
            transport.write(out[0])
            if transport.get_write_buffer_size() > MAX_BUFFER:
                self._too_slow()
        else:
            self.write(self.take())

    def take(self) -> list[bytes]:
        """What is to be written, which the caller has to `write`."""
        out, self._out = self._out, []
        return out

    def write(self, frames: list[bytes]) -> None:
        transport = self._transport
        if transport is None or not frames:
            return
        transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
        if transport.get_write_buffer_size() > MAX_BUFFER:
            self._too_slow()

    def _too_slow(self) -> None:
        logger.warning("a client does not read what it watches and was disconnected")
        self.abort()

    # Requests ------------------------------------------------------------------------------------

    def _greet(self, request: wire.Request) -> None:
        if not isinstance(request, wire.Hello) or request.version != wire.WIRE_VERSION:
            raise ProtocolError(f"expected a Hello of version {wire.WIRE_VERSION}")
        if not request.lease > 0:
            raise ProtocolError("a lease must be longer than nothing")
        self._store.attach(self, request.lease)
        self.client, before, known = self._broker.clients.come(request.client, self)
        self._ready = True
        if before is not None:
            before.abort()
        self.push(
            frames.frame(wire.Welcome(wire.WIRE_VERSION, os.getpid(), known, self._broker.durable))
        )

    def _publish(self, request: wire.Publish) -> None:
        topic, data, once = request.topic, request.data, request.once
        before = self._store.published(topic, once) if once else None
        if before is not None:
            self._end_run()
            self.client.remember(request.id, before)
            self.answer(wire.Placed(request.id, before.epoch, before.offset, 1))
            return
        history = _history(request.size, request.seconds) if request.size else None
        position = self._store.publish(topic, data, history, once).position
        if self._run is None:
            self._run = Run(request, position)
        elif not self._run.take(request, position):
            self._end_run()
            self._run = Run(request, position)

    def _end_run(self) -> None:
        """Tell those who watch of what was published, and then who published it."""
        run, self._run = self._run, None
        if run is None:
            return
        watchers = self._store.watchers(run.topic)
        if watchers:
            frame = frames.frame(run.published())
            for session in watchers:
                session.push(frame)
            self._broker.pass_on()
        self.client.remember_placed(run.first_id, run.positions)
        self.push(frames.frame(run.placed()))

    def _watch(self, request: wire.Watch) -> None:
        self._answer_position(request.id, self._store.watch(request.topic, self))

    def _unwatch(self, request: wire.Unwatch) -> None:
        self._store.unwatch(request.topic, self)
        self.answer(wire.Done(request.id))

    def _where(self, request: wire.Where) -> None:
        self._answer_position(request.id, self._store.position(request.topic))

    def _read(self, request: wire.Read) -> None:
        if request.limit < 1:
            raise ProtocolError("a Read with a limit below 1")
        since = Position(request.epoch, request.offset)
        found = self._store.read(request.topic, since, request.limit)
        epoch, offset = found.position.epoch, found.position.offset
        if isinstance(found, Gap):
            self.answer(wire.Missed(request.id, epoch, offset))
        else:
            events = [publication.data for publication in found.publications]
            self.answer(wire.Events(request.id, epoch, offset, request.offset + 1, events))

    def _enter(self, request: wire.Enter) -> None:
        change = self._store.presence.enter(self, request.topic, request.members, request.people)
        self._broker.announce(request.topic, change)
        self.answer(wire.Done(request.id))

    def _leave(self, request: wire.Leave) -> None:
        change = self._store.presence.leave(self, request.topic, request.member)
        self._broker.announce(request.topic, change)
        self.answer(wire.Done(request.id))

    def _members(self, request: wire.Members) -> None:
        self.answer(wire.Present(request.id, self._store.presence.members(request.topic)))

    def _renew(self, request: wire.Renew) -> None:
        self.answer(wire.Renewed(request.id, self._store.presence.renew(self)))

    def _headcount(self, request: wire.Headcount) -> None:
        count = self._store.presence.headcount(request.topic)
        self.answer(wire.Heads(request.id, count.members, count.people))

    def _bye(self, request: wire.Bye) -> None:
        self._broker.clients.give_back(self.client.name)
        self.answer(wire.Done(request.id))

    def _answer_position(self, id_: int, position: Position) -> None:
        self.push(frames.frame(wire.At(id_, position.epoch, position.offset)))

    def answer(self, answer: wire.Answer, *, remember: bool = False) -> None:
        """Answer a request; ``remember`` it for when the client asks again."""
        try:
            frame = frames.frame(answer)
        except ProtocolError as error:
            frame = frames.frame(wire.Refused(answer.id, error.reason, wire.Cause.FAILED))
        if remember:
            self.client.remember(answer.id, frame)
        self.push(frame)


_HANDLERS: dict[type[Any], Callable[[Session, Any], None]] = {
    wire.Watch: Session._watch,
    wire.Unwatch: Session._unwatch,
    wire.Where: Session._where,
    wire.Read: Session._read,
    wire.Enter: Session._enter,
    wire.Leave: Session._leave,
    wire.Members: Session._members,
    wire.Renew: Session._renew,
    wire.Headcount: Session._headcount,
    wire.Bye: Session._bye,
    **HANDLERS,
}


@functools.lru_cache(maxsize=256)
def _history(size: int, seconds: float) -> History:
    """One object per setting: the same few come with every publish."""
    if not (size >= 0 and seconds > 0):  # written so that it is true of NaN
        raise ProtocolError(f"a history of {size} events and {seconds} seconds")
    return History(size=size, seconds=seconds)
