"""A program in another language, started with its clients from npm, or the reason why not.

What lives here: `Program` and the fixture that runs one, and what it shares with a Seaway process:
an engine, a namespace, a topic and a channel.
What must not: what it is asked to do.
"""

from __future__ import annotations

import asyncio
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import seaway
from seaway.layers.base import History, Layer
from seaway.layers.engines import make_layer
from tests.layers.following import Follower
from tests.servers.nats import Nats
from tests.servers.valkey import Valkey

NODE = Path(__file__).parent / "node"
_PATIENCE = 60.0

KEPT = History(size=100, seconds=300)
TOPIC, CHANNEL = "halls/1/seats", "thumbnails"
_SCRIPTS = Path(seaway.__file__).parent / "layers" / "redis" / "lua"


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


@pytest.fixture(scope="package", params=["redis", "nats"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Valkey | Nats]:
    """Each engine that other languages have clients of."""
    make = Valkey if request.param == "redis" else Nats
    server = make(tmp_path_factory.mktemp(request.param)).start()
    yield server
    server.kill()


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> str:
    """This test's own."""
    return str(request.node.originalname[:40])


@pytest.fixture
async def follower(server: Valkey | Nats, namespace: str) -> AsyncIterator[Follower]:
    """A Seaway process that follows the topic."""
    layer = make_layer(server.url, namespace=namespace, place="tests")
    follower = await Follower(layer, TOPIC).start()
    yield follower
    await follower.stop()


@pytest.fixture
def layer(follower: Follower) -> Layer:
    return follower.hub.layer


@pytest.fixture
def arguments(server: Valkey | Nats, namespace: str) -> tuple[str, ...]:
    """The program's first ones: where it meets the Seaway process."""
    if isinstance(server, Nats):
        return ("nats.js", server.url, namespace)
    return ("redis.js", server.url, namespace, str(_SCRIPTS))
