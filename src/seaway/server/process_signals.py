"""Signals as something that a select loop can wait for, and the file that says whom to signal.

What lives here: `Signals` and `pid_file`. What must not: what a signal means (`supervisor`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self

from seaway.server.application import StartupFailed


class Signals:
    """Takes signals over while it is entered; the former handlers return at the end."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)
        self._pending: list[int] = []
        self._former: dict[signal.Signals, Any] = {}
        #: Becomes readable with each signal.
        self.wake, self._waker = socket.socketpair()

    def __enter__(self) -> Self:
        self.wake.setblocking(False)
        self._waker.setblocking(False)
        self._former_fd = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self._former = {number: signal.signal(number, self._note) for number in self._numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_fd)
        self.wake.close()
        self._waker.close()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._pending.append(number)

    def take(self) -> list[int]:
        """Those that have come since the last call, in their order."""
        with contextlib.suppress(BlockingIOError):
            self.wake.recv(4096)
        pending, self._pending = self._pending, []
        return pending


@contextlib.contextmanager
def pid_file(name: str | None) -> Iterator[None]:
    """A file with this process's id; none without a name. Raises `StartupFailed`."""
    if name is None:
        yield
        return
    path = Path(name)
    try:
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        raise StartupFailed(f"Cannot write the pid file {name}: {error.strerror}.") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
