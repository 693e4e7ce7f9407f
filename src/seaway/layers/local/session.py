"""One process that is connected to the broker: its requests, and what is written to it.

What lives here: `Session`, the server side of `wire`.
What must not: state of topics (`seaway.layers.store`), or the other sessions (`broker`).
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
from seaway.layers.local import wire

if TYPE_CHECKING:
    from seaway.layers.local.broker import Broker

logger = logging.getLogger("seaway.broker")

#: Bytes that may wait for a process that does not read. It is then disconnected, and recovers by
#: its positions: cheaper than the memory of everybody else.
MAX_BUFFER = 64 * 1024 * 1024


class Session(asyncio.Protocol):
    """One connected process."""

    __slots__ = ("_broker", "_out", "_parser", "_ready", "_store", "_transport")

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._store = broker.store
        self._parser = wire.requests()
        self._out: list[bytes] = []
        self._ready = False
        self._transport: asyncio.Transport | None = None

    # asyncio -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._broker.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._out.clear()
        self._broker.closed(self)

    def data_received(self, data: bytes) -> None:
        try:
            for request in self._parser.feed(data):
                if self._transport is None:
                    return
                if not self._ready:
                    self._greet(request)
                else:
                    _HANDLERS[type(request)](self, request)
        except ProtocolError as error:
            logger.warning("a client broke the protocol and was disconnected: %s", error.reason)
            self._abort()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    # Writing -------------------------------------------------------------------------------------

    def push(self, frame: bytes) -> None:
        if not self._out:
            self._broker.flush_soon(self)
        self._out.append(frame)

    def flush(self) -> None:
        out, self._out = self._out, []
        transport = self._transport
        if transport is None or not out:
            return
        transport.write(out[0] if len(out) == 1 else b"".join(out))
        if transport.get_write_buffer_size() > MAX_BUFFER:
            logger.warning("a client does not read what it watches and was disconnected")
            self._abort()

    # Requests ------------------------------------------------------------------------------------

    def _greet(self, request: wire.Request) -> None:
        if not isinstance(request, wire.Hello) or request.version != wire.WIRE_VERSION:
            raise ProtocolError(f"expected a Hello of version {wire.WIRE_VERSION}")
        if not request.lease > 0:
            raise ProtocolError("a lease must be longer than nothing")
        self._ready = True
        self._store.attach(self, request.lease)
        self.push(wire.frame(wire.Welcome(wire.WIRE_VERSION, os.getpid())))

    def _greeted_before(self, request: wire.Hello) -> None:
        raise ProtocolError("a second Hello")

    def _publish(self, request: wire.Publish) -> None:
        topic, data = request.topic, request.data
        history = _history(request.size, request.seconds) if request.size else None
        position = self._store.publish(topic, data, history).position
        watchers = self._store.watchers(topic)
        if watchers:
            frame = wire.frame(wire.Published(topic, position.epoch, position.offset, data))
            for session in watchers:
                session.push(frame)
        self._answer_position(request.id, position)

    def _watch(self, request: wire.Watch) -> None:
        self._answer_position(request.id, self._store.watch(request.topic, self))

    def _unwatch(self, request: wire.Unwatch) -> None:
        self._store.unwatch(request.topic, self)
        self._answer(wire.Done(request.id))

    def _where(self, request: wire.Where) -> None:
        self._answer_position(request.id, self._store.position(request.topic))

    def _read(self, request: wire.Read) -> None:
        if request.limit < 1:
            raise ProtocolError("a Read with a limit below 1")
        since = Position(request.epoch, request.offset)
        found = self._store.read(request.topic, since, request.limit)
        epoch, offset = found.position.epoch, found.position.offset
        if isinstance(found, Gap):
            self._answer(wire.Missed(request.id, epoch, offset))
        else:
            events = [publication.data for publication in found.publications]
            self._answer(wire.Events(request.id, epoch, offset, request.offset + 1, events))

    def _enter(self, request: wire.Enter) -> None:
        change = self._store.enter(self, request.topic, request.members)
        self._broker.announce(request.topic, change)
        self._answer(wire.Done(request.id))

    def _leave(self, request: wire.Leave) -> None:
        change = self._store.leave(self, request.topic, request.member)
        self._broker.announce(request.topic, change)
        self._answer(wire.Done(request.id))

    def _members(self, request: wire.Members) -> None:
        self._answer(wire.Present(request.id, self._store.members(request.topic)))

    def _renew(self, request: wire.Renew) -> None:
        self._answer(wire.Renewed(request.id, self._store.renew(self)))

    def _answer_position(self, id_: int, position: Position) -> None:
        self.push(wire.frame(wire.At(id_, position.epoch, position.offset)))

    def _answer(
        self, answer: wire.Events | wire.Missed | wire.Done | wire.Present | wire.Renewed
    ) -> None:
        try:
            self.push(wire.frame(answer))
        except ProtocolError as error:
            self.push(wire.frame(wire.Refused(answer.id, error.reason)))


_HANDLERS: dict[type[Any], Callable[[Session, Any], None]] = {
    wire.Hello: Session._greeted_before,
    wire.Publish: Session._publish,
    wire.Watch: Session._watch,
    wire.Unwatch: Session._unwatch,
    wire.Where: Session._where,
    wire.Read: Session._read,
    wire.Enter: Session._enter,
    wire.Leave: Session._leave,
    wire.Members: Session._members,
    wire.Renew: Session._renew,
}


@functools.lru_cache(maxsize=256)
def _history(size: int, seconds: float) -> History:
    """One object per setting: the same few come with every publish."""
    if not (size >= 0 and seconds > 0):  # written so that it is true of NaN
        raise ProtocolError(f"a history of {size} events and {seconds} seconds")
    return History(size=size, seconds=seconds)
