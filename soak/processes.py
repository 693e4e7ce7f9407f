"""Child processes of a soak whose lines of output are its findings.

What lives here: `Child`: started, read line by line, killed, started again.
What must not: what the lines mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def die_with_parent() -> None:
    """For ``preexec_fn``: end when the process that starts us does (Linux's prctl)."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """``python -m MODULE ARGUMENTS``; each line of its output goes to ``on_line``.

    :param command: what the command begins with.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        on_line: Callable[[str], None],
        command: Sequence[str] = (),
    ) -> None:
        self.troubles: list[str] = []
        self._command = (*command, sys.executable, "-m", module, *arguments)
        self._on_line = on_line
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=die_with_parent,
        )
        self._readers.append(asyncio.create_task(self._read(process.stdout, self._on_line)))
        self._readers.append(asyncio.create_task(self._read(process.stderr, self._note)))

    async def _read(self, stream: asyncio.StreamReader | None, take: Callable[[str], None]) -> None:
        assert stream is not None  # noqa: S101 - pipes were asked for
        async for line in stream:
            take(line.decode(errors="replace").rstrip("\n"))

    def _note(self, line: str) -> None:
        if len(self.troubles) < 200:
            self.troubles.append(line)

    async def kill(self) -> None:
        """SIGKILL, and read what it had written."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.end()

    async def end(self) -> None:
        """Wait for its own end."""
        if self._process is not None:
            await self._process.wait()
            await asyncio.gather(*self._readers)
            self._readers.clear()
