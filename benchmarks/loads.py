"""The loads of a benchmark: the C programs of load/, built and asked.

What lives here: compiling them, one of them as a context manager with its connections, and what it
answers.
What must not: servers (`procs`), what is done with the figures.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from typing import Self

import msgspec

from benchmarks.procs import HERE, BenchmarkError, cores, prepare_on

BUILD = HERE / "build"


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


def build() -> None:
    """Compile the programs of load/ that are newer than what is in build/."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchmarkError("The load generator is C: install a C compiler (cc), e.g. gcc.")
    BUILD.mkdir(exist_ok=True)
    headers = max(header.stat().st_mtime for header in (HERE / "load").glob("*.h"))
    for source in sorted((HERE / "load").glob("*.c")):
        program = BUILD / source.stem
        newest = max(source.stat().st_mtime, headers)
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


class Program:
    """A program of load/ with its connections, on its own core, asked line by line."""

    def __init__(self, name: str, *settings: object) -> None:
        self._process = subprocess.Popen(
            [str(BUILD / name), *map(str, settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=prepare_on(cores()[1]),  # noqa: PLW1509 (the benchmark has no threads)
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
