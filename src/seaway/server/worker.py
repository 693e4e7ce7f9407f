"""A worker process: ``python -m seaway.server.worker FD``, started by the supervisor.

What lives here: the conversation with the supervisor over one socket, one JSON object a line:
an `Order` to the worker, `Report`s back, and perhaps a `Farewell`. The end of that socket says that
the supervisor is gone.
What must not: anything that `run` does in one process as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import signal
import socket
import sys

import msgspec

from seaway.exceptions import ConfigurationError
from seaway.server import logs, recycling
from seaway.server.application import Announcement, StartupFailed, load
from seaway.server.board import Board
from seaway.server.config import ServerConfig
from seaway.server.context import Context
from seaway.server.recycling import Recycling
from seaway.server.run import Runner


class Order(msgspec.Struct, frozen=True):
    """What a worker is to serve: ``fds`` are bound sockets that it inherits, and ``board`` is the
    descriptor of the `Board`, where ``slot`` is its own; -1 for none."""

    application: str
    config: ServerConfig
    fds: list[int]
    board: int = -1
    slot: int = 0

    @property
    def inherited(self) -> list[int]:
        """Every descriptor that the worker gets."""
        return [*self.fds, self.board] if self.board >= 0 else self.fds


class Farewell(msgspec.Struct, frozen=True):
    """Another worker has taken this one's place: finish what was begun, and go."""

    generation: int


class Report(msgspec.Struct, frozen=True):
    """What became of it: ``failed`` to start; or ready; or, later, ``spent`` and to be replaced."""

    loop: str = ""
    details: list[str] = []
    failed: str = ""
    traceback: str = ""
    spent: str = ""


def send_line(control: socket.socket, message: Order | Report | Farewell) -> None:
    """Send one message, blocking."""
    control.sendall(msgspec.json.encode(message) + b"\n")


def receive_order(control: socket.socket) -> Order | None:
    """The supervisor's order, blocking; None when the supervisor is gone."""
    received = bytearray()
    while not received.endswith(b"\n"):
        data = control.recv(65536)
        if not data:
            return None
        received += data
    return msgspec.json.decode(received, type=Order)


def serve(control: socket.socket, order: Order) -> None:
    """Load the application and serve it until SIGTERM or the supervisor's end."""
    app = load(order.application)
    logs.configure(order.config)

    def report(announcement: Announcement) -> None:
        details = list(announcement.details)
        # What is loaded by now stays for good: the collector need not look at it ever again.
        gc.collect()
        gc.freeze()
        send_line(control, Report(loop=announcement.loop, details=details))

    sockets = [socket.socket(fileno=fd) for fd in order.fds]
    board = Board(order.board, order.slot) if order.board >= 0 else None
    runner = Runner(app, order.config, announce=report, sockets=sockets, board=board)
    if recycling.wanted(order.config):
        runner.on_sweep = Watch(order.config, control)

    def watch(loop: asyncio.AbstractEventLoop) -> None:
        # The terminal's Ctrl-C reaches the whole process group: the supervisor decides.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_reader(control.fileno(), functools.partial(_lost, loop, runner, control))

    runner.on_loop = watch
    runner.run()


def _lost(loop: asyncio.AbstractEventLoop, runner: Runner, control: socket.socket) -> None:
    """A `Farewell` from the supervisor, or its end."""
    try:
        data = control.recv(65536)
    except OSError:
        data = b""
    if data:
        runner.replaced()
        return
    loop.remove_reader(control.fileno())
    runner.stop_soon()


class Watch:
    """Reports, once, that this worker should be replaced; again if nothing comes of it."""

    #: Seconds until the report is repeated: a replacement may fail to start.
    AGAIN = 60.0

    def __init__(self, config: ServerConfig, control: socket.socket) -> None:
        self._config = config
        self._control = control
        self._recycling: Recycling | None = None
        self._not_before = 0.0

    def __call__(self, context: Context) -> None:
        if self._recycling is None:
            self._recycling = Recycling(self._config, context)
        if context.draining or context.now < self._not_before:
            return
        if reason := self._recycling.reason():
            self._not_before = context.now + self.AGAIN
            # The supervisor's end is noticed elsewhere.
            with contextlib.suppress(OSError):
                send_line(self._control, Report(spent=reason))


def main() -> int:
    """Serve as the supervisor orders; the process's exit status."""
    # The supervisor starts workers with SIGINT blocked, so that Ctrl-C cannot hit the interpreter
    # while it starts. A handler, unlike SIG_IGN, is not inherited by the application's children.
    signal.signal(signal.SIGINT, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    control = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    order = receive_order(control)
    if order is None:
        return 1
    for fd in order.inherited:
        os.set_inheritable(fd, False)
    try:
        serve(control, order)
    except ConfigurationError as error:
        details = error.details if isinstance(error, StartupFailed) else ""
        send_line(control, Report(failed=str(error), traceback=details))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
