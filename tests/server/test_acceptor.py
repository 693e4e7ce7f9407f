"""Accepting: sharing connections out, and a process without descriptors."""

import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway.server.board import Board
from tests.server.applications import echo
from tests.server.harness import (
    CapturedLog,
    Client,
    ServerProcess,
    serving,
    wait_until,
    write_module,
)

APP = """
    import os

    async def application(scope, receive, send):
        await receive()
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": str(os.getpid())})
        while (message := await receive())["type"] != "websocket.disconnect":
            if message.get("text") == "block":
                import time
                time.sleep(1.5)
"""


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board.make(4)
    yield board
    board.close()


def test_who_has_more_than_the_emptiest_leaves_it_to_others(board: Board) -> None:
    first, second = Board(os.dup(board.fd), 0), Board(os.dup(board.fd), 1)
    # Alone there is nobody to leave it to.
    assert not first.crowded(1000)
    second.note(1000)
    assert not first.crowded(1000)
    assert not first.crowded(1020)
    assert first.crowded(1040)
    assert not second.crowded(1000)
    second.stop()
    assert not first.crowded(5000)
    second.note(0)
    assert first.crowded(5)
    assert not first.crowded(4)
    board.leave(1)
    assert not first.crowded(5)
    first.close()
    second.close()


def joined(server: ServerProcess, count: int) -> tuple[list[Client], "Counter[bytes]"]:
    clients = [server.connect() for _ in range(count)]
    spread: Counter[bytes] = Counter()
    for client in clients:
        client.upgrade()
        spread[client.frame()[1]] += 1
    return clients, spread


def test_long_lived_connections_are_shared_out(tmp_path: Path) -> None:
    """In a burst, and so that a new worker fills up first."""
    write_module(tmp_path, "site_app", APP)
    with ServerProcess(tmp_path, "site_app", "--bind", "127.0.0.1:0", "--workers", "2") as server:
        server.says("2 workers")
        clients, spread = joined(server, 200)
        assert len(spread) == 2
        assert min(spread.values()) >= 80
        gone = min(spread)
        os.kill(int(gone), 9)
        server.says("worker_died")
        wait_until(lambda: joined_once(server).keys() - spread.keys(), "the new worker")
        more, again = joined(server, 60)
        (new,) = again.keys() - spread.keys()
        assert again[new] >= 40
        for client in [*clients, *more]:
            client.socket.close()


def joined_once(server: ServerProcess) -> "Counter[bytes]":
    clients, spread = joined(server, 4)
    for client in clients:
        client.socket.close()
    return spread


def test_a_worker_that_hangs_does_not_keep_others_from_accepting(tmp_path: Path) -> None:
    write_module(tmp_path, "site_app", APP)
    with ServerProcess(tmp_path, "site_app", "--bind", "127.0.0.1:0", "--workers", "2") as server:
        server.says("2 workers")
        clients, _ = joined(server, 20)
        clients[0].send(b"\x81\x85\0\0\0\0block")
        # The other one ends up with all of these; it is not to wait for its colleague each time.
        begun = time.monotonic()
        more, _ = joined(server, 40)
        assert time.monotonic() - begun < 10
        for client in [*clients, *more]:
            client.socket.close()


def test_a_process_without_descriptors_goes_on_later(log: CapturedLog) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with serving(echo) as server, server.connect() as first:
        assert first.request().status == 200
        waiting = server.connect()
        waiting.request()
        later = [server.connect() for _ in range(2)]
        lowest = os.dup(0)
        os.close(lowest)
        late = Client.__new__(Client)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, before[1]))
            Client.__init__(late, server.address)
            wait_until(lambda: "accept_failed" in log.events)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert late.request().status == 200
        for client in [waiting, late, *later]:
            client.socket.close()
