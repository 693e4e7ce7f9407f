"""What the tests of the embedded broker share: its process, other processes, raw connections."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import seaway
from seaway.layers.base import Layer
from seaway.layers.local import frames, wire
from seaway.layers.local.client import LocalLayer
from seaway.layers.local.place import Durable, Place, lock_of
from seaway.testing.layer_contract import PATIENCE

WORKER = Path(__file__).with_name("worker.py")
SOURCE = Path(seaway.__file__).parent.parent


def local_layer(place: Place, durable: Durable = Durable.NOT) -> LocalLayer:
    """A layer that is patient with a busy machine, and whose broker soon quits after the test."""
    layer = LocalLayer(place, linger=0.5, durable=durable)
    layer.timeout = 2 * PATIENCE
    return layer


def broker_pid(place: Place) -> int:
    return int(lock_of(place.socket).read_text())


def kill_broker(place: Place) -> None:
    os.kill(broker_pid(place), signal.SIGKILL)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process for a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def cut(layer: Layer) -> None:
    """End a layer's connection; the broker goes on."""
    assert isinstance(layer, LocalLayer)
    assert layer._requests is not None
    assert layer._requests.link is not None
    layer._requests.link.abort()


def broker_lives(place: Place) -> bool:
    """Whether anybody holds the lock of a broker at this place."""
    try:
        lock = os.open(lock_of(place.socket), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)


class Worker:
    """Another process, running ``worker.py``: takes commands by line, answers by line."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.pid = process.pid

    @classmethod
    async def start(cls, place: Place, *options: str) -> Worker:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(WORKER), str(place.directory), *options,
            stdin=PIPE, stdout=PIPE, env={**os.environ, "PYTHONPATH": str(SOURCE)},
        )  # fmt: skip
        worker = cls(process)
        assert await worker.says() == "started"
        return worker

    async def says(self) -> str:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 2 * PATIENCE)
        return line.decode().strip()

    async def says_at_last(self, wanted: str) -> list[str]:
        """Wait for a line; returns those before it."""
        before: list[str] = []
        while (line := await self.says()) != wanted:
            assert line, f"the worker ended without saying {wanted!r}, after {before[-5:]}"
            before.append(line)
        return before

    async def do(self, command: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")
        await self.process.stdin.drain()
        return await self.says()

    def kill(self) -> None:
        self.process.kill()

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.communicate()


class Raw:
    """A connection to a broker, speaking bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._parser = wire.replies()
        self._replies: list[wire.Reply] = []

    @classmethod
    async def connect(cls, place: Place, *, lease: float | None = 10.0, client: str = "") -> Raw:
        raw = cls(*await asyncio.open_unix_connection(str(place.socket), limit=2**26))
        if lease is not None:
            raw.send(wire.Hello(wire.WIRE_VERSION, lease, client or secrets.token_urlsafe(8)))
            assert isinstance(await raw.reply(), wire.Welcome)
        return raw

    def send(self, *messages: wire.Request) -> None:
        self.writer.write(b"".join(map(frames.frame, messages)))

    async def reply(self) -> wire.Reply:
        while not self._replies:
            data = await asyncio.wait_for(self.reader.read(2**20), PATIENCE)
            assert data, "the broker hung up"
            self._replies = self._parser.feed(data)
        return self._replies.pop(0)

    async def hung_up(self) -> bool:
        """Whether the broker ends the connection, whatever it says before."""
        with suppress(ConnectionResetError):
            await asyncio.wait_for(self.reader.read(-1), PATIENCE)
        return True

    def stop_reading(self) -> None:
        cast("asyncio.Transport", self.writer.transport).pause_reading()

    def read_on(self) -> None:
        cast("asyncio.Transport", self.writer.transport).resume_reading()

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()
