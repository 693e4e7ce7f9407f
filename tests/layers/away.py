"""``python -m tests.layers.away URL NAMESPACE TOPIC``: a process that may be cut off.

What lives here: the process, which follows a topic, is a member of it, and publishes what it is
told to; and `Away`, the same as its parent sees it. What must not: what is to be expected of it.

It writes ``E data`` for each event that its follower got, ``gap`` for each that it was told of,
``P data`` for what it was told is published, and ``? data words`` where it was told otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from seaway.exceptions import LayerError
from seaway.layers.base import Layer
from seaway.layers.engines import make_layer
from tests.layers.following import KEPT, Follower
from tests.servers.namespace import Namespace
from tests.waiting import until

ROOT = Path(__file__).parent.parent.parent
MEMBER = "away"


class Away:
    """The process in a namespace; ``lines`` is what it has written."""

    def __init__(self, namespace: Namespace, url: str, name: str, topic: str) -> None:
        self.lines: list[str] = []
        python = (sys.executable, "-m", "tests.layers.away", url, name, topic)
        self._command = namespace.command(*python)
        self._process: asyncio.subprocess.Process
        self._reader: asyncio.Task[None]

    async def __aenter__(self) -> Away:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            preexec_fn=_die_with_parent,
        )
        self._reader = asyncio.create_task(self._read())
        await until(lambda: "started" in self.lines or self._reader.done())
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.lines.append(line.decode().rstrip("\n"))

    def publish(self, data: str) -> None:
        """Tell it to; what becomes of it is among ``lines`` later."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{data}\n".encode())

    def heard(self) -> list[str]:
        """The events that its follower got."""
        return [line[2:] for line in self.lines if line.startswith("E ")]

    async def end(self) -> None:
        """Let it close its layer and end in order."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert await self._process.wait() == 0


def _die_with_parent() -> None:
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class _Speaking(Follower):
    def write(self, frame: bytes) -> None:
        super().write(frame)
        for line in frame.splitlines():
            _say(line if line == b"gap" else b"E " + line.split(b" ", 2)[2])


def _say(line: bytes) -> None:
    os.write(1, line + b"\n")


async def _publish(layer: Layer, topic: str, data: bytes) -> None:
    try:
        await layer.publish(topic, data, KEPT)
    except LayerError as error:
        _say(b"? %s %s" % (data, str(error).encode()))
    else:
        _say(b"P " + data)


async def _main(url: str, namespace: str, topic: str) -> None:
    layer = make_layer(url, namespace=namespace, place="tests")
    follower = await _Speaking(layer, topic).start()
    await layer.enter(topic, MEMBER, b"{}")
    _say(b"started")
    told = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    async with asyncio.TaskGroup() as group:
        async for line in told:
            group.create_task(_publish(layer, topic, line.rstrip(b"\n")))
    await follower.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.layers.away")
    for name in ("url", "namespace", "topic"):
        parser.add_argument(name)
    options = parser.parse_args()
    asyncio.run(_main(options.url, options.namespace, options.topic))
