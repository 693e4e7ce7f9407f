"""Makes sure that a broker runs at a place, however many processes want that at once.

What lives here: starting the broker as a process of its own, once.
What must not: talking to it; blocking calls only, so an event loop runs this in a thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import seaway
from seaway.exceptions import LayerUnavailable
from seaway.layers.local.broker import LINGER
from seaway.layers.local.place import Durable, Place

#: Bytes after which a broker's log starts anew.
LOG_BYTES = 256 * 1024


def ensure_broker(
    place: Place,
    *,
    timeout: float = 5.0,
    linger: float = LINGER,
    durable: Durable = Durable.NOT,
) -> None:
    """Return when a broker listens at ``place``, starting one if there is none.

    :raises ConfigurationError: the place cannot be trusted.
    :raises LayerUnavailable: no broker within ``timeout`` seconds; says why.
    """
    deadline = time.monotonic() + timeout
    place.prepare()
    if listens(place.socket):
        return
    with _alone(place, deadline):
        if not listens(place.socket):
            _start(place, deadline, linger, durable)


def listens(path: Path) -> bool:
    """Whether somebody accepts connections at a socket. A full backlog counts as somebody."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _alone(place: Place, deadline: float) -> Iterator[None]:
    """Hold the launch lock: who had to wait for it will find the broker that another started."""
    lock = os.open(place.launch_lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"Another process is still starting the broker at {place.directory}."
                    raise LayerUnavailable(message) from None
                time.sleep(0.01)
        yield
    finally:
        os.close(lock)


def _start(place: Place, deadline: float, linger: float, durable: Durable) -> None:
    """Run the broker's command, which listens, leaves a detached child behind and returns."""
    command = [
        _interpreter(), "-m", "seaway.layers.local.broker",
        "--socket", str(place.socket), "--linger", str(linger), "--detach",
    ]  # fmt: skip
    if durable:
        command += ["--journal", str(place.journal)]
    if durable is Durable.MACHINE:
        command.append("--full")
    with contextlib.suppress(OSError):
        if place.log.stat().st_size > LOG_BYTES:
            place.log.unlink()
    descriptor = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = subprocess.Popen(  # noqa: S603  our own interpreter, our own module
            command,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            cwd="/",
            env=_environment(),
        )
    except OSError as error:
        raise LayerUnavailable(f"{command[0]} cannot be run: {error.strerror}.") from error
    finally:
        os.close(descriptor)
    try:
        status = process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise LayerUnavailable(f"The broker did not start in time (log: {place.log}).") from None
    if status != 0:
        raise LayerUnavailable(f"The broker did not start: {_last_line(place.log)} ({place.log})")


def _interpreter() -> str:
    """The Python that runs us. Servers that embed Python name themselves in `sys.executable`."""
    if "python" in Path(sys.executable or "").name.lower():
        return sys.executable
    return str(Path(sys.prefix) / "bin" / "python3")


def _environment() -> dict[str, str]:
    """Our environment, with this very copy of Seaway importable from anywhere."""
    package = str(Path(seaway.__file__).resolve().parent.parent)
    others = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{others}" if others else package}


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError as error:
        return f"its log cannot be read: {error.strerror}"
    return lines[-1] if lines else "its log is empty"
