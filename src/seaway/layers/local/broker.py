"""The embedded broker: streams and queues behind a Unix socket, for every process of one machine.

What lives here: what the sessions share, and the process's life: one broker per socket, gone when
nobody has used it for a while.
What must not: the requests of one client (`session`), deciding where it runs (`place`) or when it
is started (`launch`).

Run by ``python -m seaway.layers.local.broker --socket PATH``.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import PresenceChange
from seaway.layers.local import frames, wire
from seaway.layers.local.clients import Clients
from seaway.layers.local.database import Database
from seaway.layers.local.gate import Gate
from seaway.layers.local.journal import Journal
from seaway.layers.local.place import Durable
from seaway.layers.local.seat import Seat
from seaway.layers.local.session import Session
from seaway.layers.memory.desk import Desk
from seaway.layers.memory.queue_store import QueueStore
from seaway.layers.memory.store import Store

logger = logging.getLogger("seaway.broker")

#: Seconds without any client after which the broker quits.
LINGER = 30.0
#: Seconds between two looks at leases and idle streams.
SWEEP_EVERY = 1.0


class Broker:
    """The store and the sessions of one broker process."""

    def __init__(
        self,
        *,
        linger: float,
        quit_: Callable[[], None],
        reachable: Callable[[], bool],
        journal: Journal | None = None,
        durable: Durable = Durable.NOT,
    ) -> None:
        self.durable = durable
        self.store: Store[Session] = Store(journal=journal)
        self.desk = Desk(QueueStore(journal=journal))
        self.clients = Clients(self.desk)
        self.gate: Gate | None = None
        if journal is not None:
            journal.restore(self.store, self.desk.store)
            self.clients.expect()
            self.gate = Gate(journal, quit_)
        self._linger = linger
        self._quit = quit_
        self._reachable = reachable
        self._loop = asyncio.get_running_loop()
        self._sessions: set[Session] = set()
        #: Sessions with something to say, in the order in which they came by it.
        self._dirty: list[Session] = []
        #: Whether the end of this turn of the loop is awaited, and whether `pass_on` has written.
        self._turn = self._passed_on = False
        self._leaving: asyncio.TimerHandle | None = None
        self._left = False
        self._next_sweep = 0.0
        self._wait_for_clients()
        self._sweep()

    def opened(self, session: Session) -> None:
        if self._left:
            session.abort()  # unwelcomed, so it knows that it has to ask somebody else
            return
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
            frame = frames.frame(wire.Changed(topic, change.entered, change.left))
            for session in watchers:
                session.push(frame)

    def announce_all(self, changes: Iterable[tuple[str, PresenceChange]]) -> None:
        for topic, change in changes:
            self.announce(topic, change)

    def flush_soon(self, session: Session) -> None:
        """It has something to say: to be written by `pass_on`, at the latest when this turn of the
        loop is over."""
        self._dirty.append(session)
        if not self._turn:
            self._turn = True
            self._loop.call_soon(self._end_turn)

    def pass_on(self) -> None:
        """A client's requests were handled: the first ones of a turn take effect at once, those of
        the others together, so that a busy broker writes once where it would write often."""
        dirty = self._dirty
        if not dirty or self._passed_on:
            return
        self._passed_on = True
        if self.gate is not None:
            self._flush()
        else:
            self._dirty = []
            for session in dirty:
                session.write_out()

    def _end_turn(self) -> None:
        self._turn = self._passed_on = False
        if self._dirty:
            self._flush()

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        if self.gate is not None:
            self.gate.pass_on(dirty)
            return
        for session in dirty:
            session.write_out()

    def _wait_for_clients(self) -> None:
        self._leaving = self._loop.call_later(self._linger, self._leave)

    def _leave(self) -> None:
        """Nobody has been here for long enough, and nobody comes any more: who was accepted in this
        very turn would be welcomed only to lose a broker that it has begun to use."""
        self._left = True
        self._quit()

    def _sweep(self) -> None:
        now = self._loop.time()
        # After a stop of this process itself (SIGSTOP, a starved machine), signs of life may be
        # waiting in the sockets: read them before anybody's lease is judged.
        if now <= self._next_sweep + SWEEP_EVERY:
            self.announce_all(self.store.presence.expire().items())
        self.store.sweep()
        self.desk.store.sweep()
        self.clients.sweep()
        if self.gate is not None:
            self.gate.pass_on([])
        if not self._reachable():
            # Newcomers would start a second broker, and nobody would know why half is missing.
            logger.error("the socket's files were removed: quitting, so that all meet anew")
            self._quit()
        self._next_sweep = now + SWEEP_EVERY
        self._loop.call_later(SWEEP_EVERY, self._sweep)


# The process -------------------------------------------------------------------------------------


async def serve(seat: Seat, *, linger: float, journal: Path | None, durable: Durable) -> None:
    """Serve until nobody has been connected for ``linger`` seconds, or SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    kept = None
    if journal is not None:
        kept = Journal(Database(journal, full=durable is Durable.MACHINE))
    broker = Broker(
        linger=linger, quit_=over.set, reachable=seat.kept, journal=kept, durable=durable
    )
    server = await loop.create_unix_server(lambda: Session(broker), sock=seat.socket)
    logger.info("broker pid=%s listening", os.getpid())
    await over.wait()
    server.close()
    if broker.gate is not None:
        await broker.gate.close()


def run(
    path: Path,
    *,
    linger: float,
    detach: bool,
    journal: Path | None = None,
    durable: Durable = Durable.NOT,
) -> None:
    """Be the broker at ``path``. With ``detach``, return in the caller once it listens, and serve
    in a child that nobody has to wait for.

    :param journal: the file in which queues and history outlive what ``durable`` says.
    """
    seat = Seat(path)
    seat.take()
    if journal is not None:
        # What is wrong with it is said before anybody is told to come.
        with closing(Database(journal)) as database:
            database.check()
    if detach and os.fork():
        return
    seat.sign()
    try:
        _run_loop(serve(seat, linger=linger, journal=journal, durable=durable))
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


def _durable(journal: Path | None, full: bool) -> Durable:
    if journal is None:
        return Durable.NOT
    return Durable.MACHINE if full else Durable.PROCESS


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m seaway.layers.local.broker")
    parser.add_argument("--socket", type=Path, required=True, help="where to listen")
    parser.add_argument("--linger", type=float, default=LINGER, metavar="SECONDS")
    parser.add_argument("--journal", type=Path, metavar="FILE", help="be durable")
    parser.add_argument("--full", action="store_true", help="wait for the disk, too")
    parser.add_argument("--detach", action="store_true", help="return once it listens")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        run(
            options.socket,
            linger=options.linger,
            detach=options.detach,
            journal=options.journal,
            durable=_durable(options.journal, options.full),
        )
    except (OSError, LayerUnavailable) as error:
        logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
