"""One worker process as its supervisor sees it.

What lives here: starting the interpreter, reading its reports, ending it.
What must not: decisions about when to do which (`supervisor`).
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import msgspec

from seaway.server.worker import Farewell, Order, Report, send_line

STARTING, READY, LEAVING = "starting", "ready", "leaving"


class WorkerProcess:
    """A child process in one of three states, and the socket to talk with it."""

    __slots__ = (
        "_process",
        "_received",
        "control",
        "generation",
        "kill_at",
        "replaces",
        "silent",
        "slot",
        "spent",
        "started_at",
        "state",
    )

    def __init__(self, order: Order, generation: int) -> None:
        self.generation = generation
        self.slot = order.slot
        self.state = STARTING
        self.started_at = time.monotonic()
        #: Why it should be replaced, by its own judgement; and whom it is to replace.
        self.spent = ""
        self.replaces: WorkerProcess | None = None
        #: When it is killed if it is not ready, or has not ended, by itself.
        self.kill_at: float | None = None
        #: Whether it has closed its end of the socket.
        self.silent = False
        self._received = bytearray()
        self.control, theirs = socket.socketpair()
        with theirs:
            self._process = _start(theirs.fileno(), order.inherited)
        # A worker that has died by now is found dead by `has_ended`.
        with contextlib.suppress(OSError):
            send_line(self.control, order)
        self.control.setblocking(False)

    @property
    def pid(self) -> int:
        return self._process.pid

    def reports(self) -> Iterator[Report]:
        """What it has reported since the last call."""
        while not self.silent:
            try:
                data = self.control.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            self._received += data
            self.silent = not data
        *lines, rest = bytes(self._received).split(b"\n")
        self._received = bytearray(rest)
        for line in lines:
            yield msgspec.json.decode(line, type=Report)

    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def cause_of_death(self) -> str:
        """Why it is gone, for people: its exit status or the signal."""
        status = self._process.returncode
        if status is not None and status < 0:
            try:
                return f"killed by {signal.Signals(-status).name}"
            except ValueError:
                return f"killed by signal {-status}"
        return f"exit status {status}"

    def leave(self, kill_at: float, *, replaced: bool) -> None:
        """Ask it to finish what it has begun and end; it has until ``kill_at``.

        :param replaced: another has taken its place; the server as a whole goes on.
        """
        was_ready = self.state == READY
        self.state = LEAVING
        self.kill_at = kill_at
        if replaced and was_ready:
            with contextlib.suppress(OSError):
                send_line(self.control, Farewell(self.generation))
                return
        self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self.state = LEAVING
        self._process.kill()
        self._process.wait()


def _start(control: int, fds: list[int]) -> subprocess.Popen[bytes]:
    """A fresh interpreter: nothing of this process's threads, locks and connections goes along.

    SIGINT is blocked for its start (see `worker.main`).
    """
    command = [sys.executable, "-m", "seaway.server.worker", str(control)]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, pass_fds=(control, *fds), stdin=subprocess.DEVNULL
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
