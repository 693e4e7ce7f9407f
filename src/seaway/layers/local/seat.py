"""The right to be the broker of a socket: who has the lock has the socket.

What lives here: taking, keeping and giving up a broker's files.
What must not: what is served there (`broker`), or starting a process for it (`launch`).
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path

from seaway.exceptions import LayerUnavailable
from seaway.layers.local.place import lock_of

#: Connections that may wait to be accepted: every process of a large server at once.
BACKLOG = 1024


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
