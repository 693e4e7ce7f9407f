"""The processes of a benchmark: started, pinned, measured, ended.

What lives here: a server as a context manager, CPU and memory of its whole process tree, the cores.
What must not: which servers there are (`contestants`), what loads them (`loads`), what is done with
the figures.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import msgspec

HERE = Path(__file__).parent
#: A load whose own core is busier than this may have been the bottleneck.
BUSY_LOAD = 0.9
START_SECONDS = 30.0
#: The environment variable by which a server's processes are known.
MARK = "BENCHMARK_SERVER"

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class BenchmarkError(Exception):
    """Something around the benchmark failed; the message says what, for the person who runs it."""


class Usage(msgspec.Struct, frozen=True):
    """Of a server's processes: CPU seconds used, or bytes held. The broker's are kept apart."""

    workers: float
    broker: float

    @property
    def total(self) -> float:
        return self.workers + self.broker

    def since(self, earlier: Usage) -> Usage:
        return Usage(self.workers - earlier.workers, self.broker - earlier.broker)


def cores() -> tuple[int, int]:
    """The cores for server and load: the same one on a machine that has only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[min(1, len(usable) - 1)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def prepare_on(core: int) -> Callable[[], None]:
    """For ``preexec_fn``: stay on that core, and end when the benchmark does."""

    def prepare() -> None:
        os.sched_setaffinity(0, {core})
        die_with_parent()

    return prepare


def die_with_parent() -> None:
    """For ``preexec_fn``: end when the process that starts us does (Linux's prctl)."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """A server under test on its own core, and every process that it starts.

    :param command: makes the argument list for the port that the server is to listen on.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[int], list[str]],
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.port = free_port()
        #: Seaway's broker is found below the directory for temporary files: a fresh one, so that
        #: it is this server's own, with nothing in it.
        self._directory = tempfile.TemporaryDirectory(prefix="bench-")
        self._log = (Path(self._directory.name) / "log").open("w+b")
        self._process = subprocess.Popen(
            command(self.port),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            cwd=HERE.parent,
            env=os.environ
            | {MARK: self._directory.name, "TMPDIR": self._directory.name}
            | (environment or {}),
            preexec_fn=prepare_on(cores()[0]),  # noqa: PLW1509 (the benchmark has no threads)
        )

    def __enter__(self) -> Self:
        deadline = time.monotonic() + START_SECONDS
        while not self._accepts():
            if self._process.poll() is not None or time.monotonic() > deadline:
                output = self.output()
                self.stop()
                raise BenchmarkError(f"{self.name} did not start:\n{output}")
            time.sleep(0.05)
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def output(self) -> str:
        """The last of what the server printed."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-4000:]

    def stop(self) -> None:
        """End the server and what it started: politely, then not."""
        everyone = self.processes()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in everyone:
            if pid != self._process.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._log.close()
        self._directory.cleanup()

    def processes(self) -> list[int]:
        """The ids of the server's processes, the broker's too, which is nobody's child: they are
        known by what they have inherited in their environment."""
        mark = f"{MARK}={self._directory.name}".encode()
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in (process / "environ").read_bytes().split(b"\0"):
                        found.append(int(process.name))
        return found

    def cpu(self) -> Usage:
        """CPU seconds that the server's processes have used so far."""
        return self._usage(cpu_seconds)

    def memory(self) -> Usage:
        """Resident bytes of the server's processes."""
        return self._usage(_resident_bytes)

    def _usage(self, measure: Callable[[int], float]) -> Usage:
        used = {True: 0.0, False: 0.0}
        for pid in self.processes():
            used[_is_broker(pid)] += measure(pid)
        return Usage(workers=used[False], broker=used[True])


def _is_broker(pid: int) -> bool:
    return b"broker" in Path(f"/proc/{pid}/cmdline").read_bytes()


def cpu_seconds(pid: int) -> float:
    """The process's CPU clock, user and system, in nanosecond steps.

    The clock's id is made as clock_getcpuclockid(3) makes it; /proc/PID/stat has steps of 10 ms.
    """
    return time.clock_gettime(~pid << 3 | 2)


def _resident_bytes(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


@contextlib.contextmanager
def explained(server: Server) -> Iterator[None]:
    """Add what the server printed to an error that happens while it is measured."""
    try:
        yield
    except BenchmarkError as error:
        raise BenchmarkError(f"{server.name}: {error}\n{server.output()}".strip()) from None


def python(*arguments: str) -> list[str]:
    """An argument list that runs this Python."""
    return [sys.executable, *arguments]
