"""The engines under measurement, each in a folder of its own.

What lives here: starting and ending them. What must not: what is measured.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.servers.nats import Nats
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import Valkey
from tests.waiting import wait_for

from benchmarks.procs import die_with_parent


class Engine(NamedTuple):
    """A running engine: its layer's address, and what its bare client connects to."""

    url: str
    bare: str
    #: Where it listens: a port of 127.0.0.1, or a socket's path; and an address of the layer by
    #: another such place.
    listens: int | Path
    by: Callable[[int | Path], str]


@contextmanager
def _local() -> Iterator[Engine]:
    from seaway.layers.local.launch import ensure_broker
    from seaway.layers.local.place import find_place, lock_of

    with tempfile.TemporaryDirectory(prefix="bench") as name:
        folder = Path(name)
        broker = find_place("bench", folder)
        ensure_broker(broker)
        relay = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.engines.relay", str(folder / "relay")],
            preexec_fn=die_with_parent,  # noqa: PLW1509  no threads
        )
        wait_for((folder / "relay").exists, "the relay to listen")

        def by(path: int | Path) -> str:
            # A cable's socket, moved to where a broker's would be.
            place = find_place("bench", Path(str(path) + ".d"))
            place.prepare()
            place.socket.symlink_to(str(path))
            return f"local://{path}.d"

        try:
            yield Engine(f"local://{folder}", f"unix://{folder / 'relay'}", broker.socket, by)
        finally:
            relay.kill()
            relay.wait()
            with suppress(OSError, ValueError):
                os.kill(int(lock_of(broker.socket).read_text()), signal.SIGTERM)


def _redis() -> AbstractContextManager[Engine]:
    return _single(Valkey)


def _nats() -> AbstractContextManager[Engine]:
    return _single(Nats)


@contextmanager
def _single(make: Callable[[Path], Valkey | Nats]) -> Iterator[Engine]:
    """A server that keeps its files in one folder, and is at a port."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        server = make(Path(folder)).start()
        try:
            url, ours = server.url, f":{server.port}"
            yield Engine(url, url, server.port, lambda port: url.replace(ours, f":{port}"))
        finally:
            server.kill()


@contextmanager
def _postgres() -> Iterator[Engine]:
    folder = Path(tempfile.mkdtemp(prefix="bench-pg-"))
    server = PostgresServer(folder, {"fsync": "on", "full_page_writes": "on"})
    try:
        server.start()
        url, ours = server.url(), f":{server.port}/"
        yield Engine(url, url, server.port, lambda port: url.replace(ours, f":{port}/"))
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


ENGINES: dict[str, Callable[[], AbstractContextManager[Engine]]] = {
    "local": _local,
    "redis": _redis,
    "nats": _nats,
    "postgres": _postgres,
}
#: The bare client that an engine's figures are held against (`parties`).
BARE = {"local": "unix", "redis": "redis", "nats": "nats", "postgres": "postgres"}
#: A bare client that also stores what it announces, where there is such a thing.
STORING = {"postgres": "postgres-stored"}
