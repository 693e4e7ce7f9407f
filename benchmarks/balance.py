"""How connections that last are shared out among workers: ``python -m benchmarks.balance``.

What lives here: three ways to listen (one shared socket, SO_REUSEPORT, a shared socket with the
board), real workers, and counts of WebSockets in each worker.
What must not: Seaway's own supervisor, which offers only the best of the three.

The connections come in a burst or one after the other; then a worker is killed, another takes its
place, and those who were on it come back. Each figure is the least and the most of a worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from seaway.server.board import Board
from seaway.server.config import ServerConfig
from seaway.server.worker import Order
from seaway.server.worker_process import WorkerProcess

CONNECTIONS = 1000
#: New connections in a second when they do not come at once.
PACE = 400.0
APP = """
import os

async def application(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": str(os.getpid())})
    while (await receive())["type"] != "websocket.disconnect":
        pass
"""
Clients = dict[ClientConnection, int]


def listening(port: int = 0, *, reuse: bool = False) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(2048)
    sock.setblocking(False)
    return sock


class Workers:
    """Worker processes that listen in one of the ways."""

    def __init__(self, way: str, count: int) -> None:
        self._config = ServerConfig(lifespan="off", log_level="error", bind=("127.0.0.1:0",))
        self._board = Board.make(count) if way == "board" else None
        first = listening(reuse=way == "reuse-port")
        self.port = first.getsockname()[1]
        self._sockets = [first] * count
        if way == "reuse-port":
            self._sockets[1:] = [listening(self.port, reuse=True) for _ in range(count - 1)]
        self._processes = [self._start(slot) for slot in range(count)]
        self.wait()

    def _start(self, slot: int) -> WorkerProcess:
        board = self._board.fd if self._board is not None else -1
        fds = [self._sockets[slot].fileno()]
        return WorkerProcess(Order("balance_app", self._config, fds, board, slot), 0)

    def wait(self) -> None:
        """Until all of them accept."""
        waiting = set(self._processes)
        deadline = time.monotonic() + 30
        while waiting and time.monotonic() < deadline:
            waiting -= {each for each in waiting if list(each.reports())}
            time.sleep(0.01)

    def restart(self) -> int:
        """Kill the first one and start another in its place; the id of the killed one."""
        gone = self._processes[0]
        os.kill(gone.pid, signal.SIGKILL)
        gone.kill()
        if self._board is not None:
            self._board.leave(0)
        gone.control.close()
        new = self._processes[0] = self._start(0)
        while not list(new.reports()):
            time.sleep(0.01)
        return gone.pid

    def pids(self) -> list[int]:
        return [each.pid for each in self._processes]

    def stop(self) -> None:
        for each in self._processes:
            each.kill()
            each.control.close()
        for sock in self._sockets:
            sock.close()


async def join(port: int) -> tuple[ClientConnection, int]:
    options = {"compression": None, "ping_interval": None, "proxy": None, "open_timeout": 60}
    connection = await connect(f"ws://127.0.0.1:{port}/", **options)  # type: ignore[arg-type]
    return connection, int(await connection.recv())


async def arrive(port: int, count: int, *, paced: bool) -> Clients:
    tasks = []
    for _ in range(count):
        tasks.append(asyncio.ensure_future(join(port)))
        if paced:
            await asyncio.sleep(1 / PACE)
    return dict(await asyncio.gather(*tasks))


async def measure(way: str, count: int, *, paced: bool) -> dict[str, list[int]]:
    workers = Workers(way, count)
    try:
        clients = await arrive(workers.port, CONNECTIONS, paced=paced)
        first = spread(clients, workers)
        gone = workers.restart()
        lost = [each for each, pid in clients.items() if pid == gone]
        kept = {each: pid for each, pid in clients.items() if pid != gone}
        back = await arrive(workers.port, len(lost), paced=paced)
        second = spread({**kept, **back}, workers)
        for each in clients.keys() | back.keys():
            each.transport.abort()
    finally:
        workers.stop()
    return {"arrived": first, "after_a_restart": second}


def spread(clients: Clients, workers: Workers) -> list[int]:
    counts = Counter(clients.values())
    each = [counts[pid] for pid in workers.pids()]
    return [min(each), max(each)]


@contextlib.contextmanager
def application() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "balance_app.py").write_text(APP)
        before = os.environ.get("PYTHONPATH", "")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, before)))
        yield
        os.environ["PYTHONPATH"] = before


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    figures = {}
    with application():
        for count in (2, 4):
            for way in ("shared", "reuse-port", "board"):
                for paced in (False, True):
                    found = asyncio.run(measure(way, count, paced=paced))
                    name = f"{count}_workers_{way}_{'paced' if paced else 'burst'}"
                    figures[name] = found
                    print(f"{name:34} {found}", flush=True)
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")


if __name__ == "__main__":
    main()
