"""Child processes that are given orders.

What lives here: `Child`, the other end of `child`. What must not: the orders.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from benchmarks.procs import HERE, BenchmarkError, die_with_parent

_PATIENCE = 120.0

Answer = dict[str, Any]


class Child:
    """One process. ``core``: the one that it stays on."""

    def __init__(self, role: str, kind: str, url: str, core: int) -> None:
        self.kind = kind
        self.core = core
        self._command = (sys.executable, "-m", "benchmarks.engines.child", role, kind, url)
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Child:
        def prepare() -> None:
            os.sched_setaffinity(0, {self.core})
            die_with_parent()

        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=HERE.parent,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**24,
            preexec_fn=prepare,
        )
        await self._answer()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def __call__(self, order: str, *arguments: object) -> Answer:
        """Give an order; what the child answers, with the CPU seconds that it has used so far."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode([order, *arguments]) + b"\n")
        return await self._answer()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped for a while: what comes for it piles up."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def _answer(self) -> Answer:
        assert self._process.stdout is not None
        async with asyncio.timeout(_PATIENCE):
            line = await self._process.stdout.readline()
        if not line:
            raise BenchmarkError(f"{' '.join(self._command[3:5])} has ended; see above.")
        answer: Answer = msgspec.json.decode(line)
        return answer
