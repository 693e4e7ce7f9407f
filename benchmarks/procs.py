"""The processes of a benchmark: built, started, pinned, measured, ended.

What lives here: compiling the C programs, servers and loads as context managers, CPU and memory of
a server's whole process tree.
What must not: which servers there are (`contestants`), what is done with the figures.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar

import msgspec

HERE = Path(__file__).parent
BUILD = HERE / "build"
#: A load whose own core is busier than this may have been the bottleneck.
BUSY_LOAD = 0.9
START_SECONDS = 30.0
#: The environment variable by which a server's processes are known.
MARK = "BENCHMARK_SERVER"

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
T = TypeVar("T")


class BenchmarkError(Exception):
    """Something around the benchmark failed; the message says what, for the person who runs it."""


class FanoutRun(msgspec.Struct, frozen=True):
    """What the load saw of one round of fan-out. Seconds and bytes."""

    deliveries: int
    event_bytes: float
    least: int
    most: int
    elapsed: float
    cpu: float


class EchoRun(msgspec.Struct, frozen=True):
    """What the load saw of one round of echo. Seconds."""

    messages: int
    elapsed: float
    cpu: float


class CloseRun(msgspec.Struct, frozen=True):
    """What the load saw of its own end. Seconds."""

    closed: int
    elapsed: float


class HttpRun(msgspec.Struct, frozen=True):
    """What the load saw of one round of requests. Seconds; `mean` and `slowest` are latencies."""

    responses: int
    bytes: int
    mean: float
    slowest: float
    elapsed: float
    cpu: float


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


def build() -> None:
    """Compile the programs of load/ that are newer than what is in build/."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchmarkError("The load generator is C: install a C compiler (cc), e.g. gcc.")
    BUILD.mkdir(exist_ok=True)
    header = HERE / "load" / "wire.h"
    for source in sorted((HERE / "load").glob("*.c")):
        program = BUILD / source.stem
        newest = max(source.stat().st_mtime, header.stat().st_mtime)
        if program.exists() and program.stat().st_mtime > newest:
            continue
        done = subprocess.run(
            [compiler, "-O2", "-Wall", "-o", str(program), str(source)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchmarkError(f"cc could not compile {source.name}: {done.stderr.strip()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _prepare(core: int) -> Callable[[], None]:
    """What a child does before exec: stay on its core, and die with the benchmark."""

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
            preexec_fn=_prepare(cores()[0]),  # noqa: PLW1509 (the benchmark has no threads)
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


class Program:
    """A program of load/ with its connections, on its own core, asked line by line."""

    def __init__(self, name: str, *settings: object) -> None:
        self._process = subprocess.Popen(
            [str(BUILD / name), *map(str, settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_prepare(cores()[1]),  # noqa: PLW1509 (the benchmark has no threads)
        )

    def __enter__(self) -> Self:
        try:
            self._answer()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, and says why
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchmarkError(self._process.stderr.read().strip() or "The load ended early.")
        return line


class HttpLoad(Program):
    """Connections in a closed loop: of HTTP/1.1 (see load/http.c), or, with ``streams`` requests
    under way on each, of HTTP/2 in the clear (see load/http2.c)."""

    def __init__(self, port: int, path: str, connections: int, streams: int = 0) -> None:
        if streams:
            super().__init__("http2", port, path, connections, streams)
        else:
            super().__init__("http", port, path, connections)

    def get(self, seconds: float) -> HttpRun:
        return msgspec.json.decode(self._ask(f"get {seconds}"), type=HttpRun)


class Load(Program):
    """WebSocket connections (see load/client.c)."""

    def __init__(
        self,
        port: int,
        path: str,
        connections: int,
        subprotocol: str = "",
        first: str = "",
        greetings: int = 0,
        event_min: int = 0,
    ) -> None:
        settings = [port, path, subprotocol, connections, greetings, event_min, first]
        super().__init__("client", *settings)

    def fanout(self, triggers: int, count: int, text: str) -> FanoutRun:
        run = msgspec.json.decode(self._ask(f"fanout {triggers} {count} {text}"), type=FanoutRun)
        if not run.least == run.most == triggers * count:
            raise BenchmarkError(f"Events went to the wrong connections: {run}")
        return run

    def echo(self, seconds: float, size: int) -> EchoRun:
        return msgspec.json.decode(self._ask(f"echo {seconds} {size}"), type=EchoRun)

    def close(self) -> CloseRun:
        """Close every connection, as RFC 6455 has it, and wait until the server has, too."""
        return msgspec.json.decode(self._ask("close"), type=CloseRun)

    def ask(self, text: str) -> str:
        """Send ``text`` on the first connection; what came back."""
        return self._ask(f"ask {text}")


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
