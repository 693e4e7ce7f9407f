"""The embedded broker: a `Store` behind a Unix socket, for every process of one machine.

What lives here: the server side of `wire`, and the process's life: one broker per socket, gone
when nobody has used it for a while.
What must not: deciding where it runs (`place`) or when it is started (`launch`).

Run by ``python -m seaway.layers.local.broker --socket PATH``.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import functools
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from seaway.exceptions import LayerUnavailable, ProtocolError
from seaway.layers.base import Gap, History, Position, PresenceChange
from seaway.layers.local import wire
from seaway.layers.local.place import lock_of
from seaway.layers.store import Store

logger = logging.getLogger("seaway.broker")

#: Bytes that may wait for a process that does not read. It is then disconnected, and recovers by
#: its positions: cheaper than the memory of everybody else.
MAX_BUFFER = 64 * 1024 * 1024
#: Seconds without any client after which the broker quits.
LINGER = 30.0
#: Seconds between two looks at leases and idle streams.
SWEEP_EVERY = 1.0
BACKLOG = 1024


class Broker:
    """The store and the sessions of one broker process."""

    def __init__(
        self, *, linger: float, quit_: Callable[[], None], reachable: Callable[[], bool]
    ) -> None:
        self.store: Store[Session] = Store()
        self._linger = linger
        self._quit = quit_
        self._reachable = reachable
        self._loop = asyncio.get_running_loop()
        self._sessions: set[Session] = set()
        self._dirty: list[Session] = []
        self._leaving: asyncio.TimerHandle | None = None
        self._next_sweep = 0.0
        self._wait_for_clients()
        self._sweep()

    def opened(self, session: Session) -> None:
        self._sessions.add(session)
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def closed(self, session: Session) -> None:
        self._sessions.discard(session)
        self.announce_all(self.store.drop(session).items())
        if not self._sessions:
            self._wait_for_clients()

    def announce(self, topic: str, change: PresenceChange | None) -> None:
        """Tell every watcher of a topic who came and went."""
        if change is None:
            return
        watchers = self.store.watchers(topic)
        if watchers:
            frame = wire.frame(wire.Changed(topic, change.entered, change.left))
            for session in watchers:
                session.push(frame)

    def announce_all(self, changes: Iterable[tuple[str, PresenceChange]]) -> None:
        for topic, change in changes:
            self.announce(topic, change)

    def flush_soon(self, session: Session) -> None:
        """Everything that one turn of the loop brings a process goes out in one write."""
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.append(session)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for session in dirty:
            session.flush()

    def _wait_for_clients(self) -> None:
        self._leaving = self._loop.call_later(self._linger, self._quit)

    def _sweep(self) -> None:
        now = self._loop.time()
        # After a stop of this process itself (SIGSTOP, a starved machine), signs of life may be
        # waiting in the sockets: read them before anybody's lease is judged.
        if now <= self._next_sweep + SWEEP_EVERY:
            self.announce_all(self.store.expire().items())
        self.store.sweep()
        if not self._reachable():
            # Newcomers would start a second broker, and nobody would know why half is missing.
            logger.error("the socket's files were removed: quitting, so that all meet anew")
            self._quit()
        self._next_sweep = now + SWEEP_EVERY
        self._loop.call_later(SWEEP_EVERY, self._sweep)


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


# The process -------------------------------------------------------------------------------------


class Seat:
    """The right to be the broker of a socket: a lock held for life, and the listening socket.

    Only who has the lock touches the socket's file, so a file without a lock holder is stale.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = os.open(lock_of(path), os.O_RDWR | os.O_CREAT, 0o600)
        self._inode = 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def take(self, patience: float = 2.0) -> None:
        """Lock and listen. A broker that is about to quit gets ``patience`` seconds to do so.

        :raises LayerUnavailable: another broker lives here.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._close()
                    message = f"Another broker is already running at {self._path}."
                    raise LayerUnavailable(message) from None
                time.sleep(0.02)
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self.socket.bind(os.fspath(self._path))
        finally:
            os.umask(before)
        self.socket.listen(BACKLOG)
        self.socket.setblocking(False)
        self._inode = self._path.stat().st_ino

    def sign(self) -> None:
        """Write this process's id into the lock file, for whoever looks for it."""
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def kept(self) -> bool:
        """Whether those who look for the broker still find these files, and not none or others."""
        try:
            lock = lock_of(self._path).stat().st_ino == os.fstat(self._lock).st_ino
            return lock and self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def give_up(self) -> None:
        """Remove the socket's file; the lock goes with the process."""
        if self.kept():
            self._path.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        self.socket.close()
        os.close(self._lock)


async def serve(seat: Seat, *, linger: float) -> None:
    """Serve until nobody has been connected for ``linger`` seconds, or SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    broker = Broker(linger=linger, quit_=over.set, reachable=seat.kept)
    server = await loop.create_unix_server(lambda: Session(broker), sock=seat.socket)
    logger.info("broker pid=%s listening", os.getpid())
    await over.wait()
    server.close()


def run(path: Path, *, linger: float, detach: bool) -> None:
    """Be the broker at ``path``. With ``detach``, return in the caller once it listens, and serve
    in a child that nobody has to wait for."""
    seat = Seat(path)
    seat.take()
    if detach and os.fork():
        return
    seat.sign()
    try:
        _run_loop(serve(seat, linger=linger))
    finally:
        seat.give_up()
        logger.info("broker pid=%s ended", os.getpid())


def _run_loop(main: Any) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m seaway.layers.local.broker")
    parser.add_argument("--socket", type=Path, required=True, help="where to listen")
    parser.add_argument("--linger", type=float, default=LINGER, metavar="SECONDS")
    parser.add_argument("--detach", action="store_true", help="return once it listens")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        run(options.socket, linger=options.linger, detach=options.detach)
    except (OSError, LayerUnavailable) as error:
        logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
