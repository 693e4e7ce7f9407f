"""A program in another language, started with its clients from npm, or the reason why not.

What lives here: `Program`, and the fixture that runs one. What must not: what it is asked to do.
"""

from __future__ import annotations

import asyncio
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

NODE = Path(__file__).parent / "node"
_PATIENCE = 60.0


class Program:
    """A running program that writes lines of JSON."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def says(self) -> dict[str, Any]:
        """Its next line; fails with its errors if it has ended."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        async with asyncio.timeout(_PATIENCE):
            line = await self._process.stdout.readline()
            if not line:
                pytest.fail((await self._process.stderr.read()).decode())
        answer: dict[str, Any] = msgspec.json.decode(line)
        return answer

    async def ends(self) -> None:
        async with asyncio.timeout(_PATIENCE):
            assert await self._process.wait() == 0

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        # Also reads what is left, so that the pipes are closed.
        await self._process.communicate()


Node = Callable[..., Awaitable[Program]]


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """``await node("redis.js", argument, …)``: that program, ended after the test."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("Node.js is not installed: the wire was not tested with its clients")
    if not (NODE / "node_modules").exists():
        pytest.skip("the clients are not installed (npm ci in tests/wire/node)")
    programs: list[Program] = []

    async def start(*command: str) -> Program:
        process = await asyncio.create_subprocess_exec(
            path, *command, cwd=NODE, stdout=PIPE, stderr=PIPE
        )
        programs.append(Program(process))
        return programs[-1]

    yield start
    for program in programs:
        await program.stop()
