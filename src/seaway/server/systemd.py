"""systemd: sockets that it passes, and what it is told.

What lives here: sd_listen_fds(3) and sd_notify(3), without libsystemd.
What must not: decisions about when to say what (`supervisor`).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time

from seaway.exceptions import ConfigurationError

#: The first passed descriptor (sd_listen_fds(3)).
_FIRST = 3
_LISTEN = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_NOTIFY = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class PassedSocket(socket.socket):
    """A listening socket that belongs to systemd: its file is not ours to remove."""


def passed() -> bool:
    """Whether systemd has passed sockets to this very process."""
    return os.environ.get("LISTEN_PID") == str(os.getpid())


def passed_sockets() -> list[socket.socket]:
    """The sockets that systemd has passed, once. Raises `ConfigurationError`."""
    if not passed():
        raise ConfigurationError(
            "bind is systemd, but systemd has passed no sockets: start the .socket unit."
        )
    count = os.environ.get("LISTEN_FDS", "0")
    for name in _LISTEN:
        os.environ.pop(name, None)
    found: list[socket.socket] = []
    for fd in range(_FIRST, _FIRST + int(count) if count.isdigit() else _FIRST):
        os.set_inheritable(fd, False)
        sock = PassedSocket(fileno=fd)
        if sock.type != socket.SOCK_STREAM or not _listens(sock):
            raise ConfigurationError("systemd has passed a socket that is not ListenStream=.")
        sock.setblocking(False)
        found.append(sock)
    if not found:
        raise ConfigurationError("systemd has passed no sockets.")
    return found


def _listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


class Notifier:
    """Tells the service manager how we are. Without one, nothing.

    What it needs is taken out of the environment: workers are not the service's main process.
    """

    def __init__(self) -> None:
        address, watchdog, pid = (os.environ.pop(name, "") for name in _NOTIFY)
        #: Seconds between two signs of life; 0: nobody waits for any.
        self.interval = 0.0
        if watchdog.isdigit() and pid in ("", str(os.getpid())):
            # Half of what is allowed, as sd_watchdog_enabled(3) recommends.
            self.interval = int(watchdog) / 2_000_000
        self.due = time.monotonic() + self.interval if self.interval else 0.0
        self._socket: socket.socket | None = None
        self._address = "\0" + address[1:] if address[:1] == "@" else address
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def ready(self, status: str) -> None:
        """Requests are served, by new code after a reload."""
        self._say("READY=1", f"MAINPID={os.getpid()}", f"STATUS={status}")

    def reloading(self) -> None:
        """New workers are on their way (Type=notify-reload wants the time as well)."""
        micros = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._say("RELOADING=1", f"MONOTONIC_USEC={micros}", "STATUS=Reloading")

    def stopping(self) -> None:
        """What was begun is being finished."""
        self._say("STOPPING=1", "STATUS=Finishing what was begun")

    def live(self, now: float) -> None:
        """A sign of life, if one is due."""
        if self.due and now >= self.due:
            self.due = now + self.interval
            self._say("WATCHDOG=1")

    def close(self) -> None:
        """The last call."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, *lines: str) -> None:
        if self._socket is not None:
            # Nobody there any more: the service goes on.
            with contextlib.suppress(OSError):
                self._socket.sendto("\n".join(lines).encode(), self._address)
