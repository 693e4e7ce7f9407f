"""Workers that are replaced: because they are spent, or because they never get ready."""

import signal
from pathlib import Path
from typing import Any

import pytest

from seaway.server.config import ServerConfig
from seaway.server.recycling import Recycling, memory, wanted
from tests.server.harness import ServerProcess, wait_until, write_module
from tests.server.site import APP, ask, load

HOARDING = APP.replace('if scope["path"] == "/crash":', """if scope["path"] == "/hoard":
            import builtins
            builtins.hoard = bytes(range(256)) * (300 << 12)
        if scope["path"] == "/crash":""")  # fmt: skip
HANGING = """
    import time
    time.sleep(60)
"""
HANGING_IN_LIFESPAN = """
    import asyncio

    async def application(scope, receive, send):
        await asyncio.sleep(60)
"""


def serve(folder: Path, *options: str, source: str = APP) -> ServerProcess:
    write_module(folder, "site_app", source)
    return ServerProcess(folder, "site_app:application", "--bind", "127.0.0.1:0", *options)


def test_after_so_many_requests_a_worker_is_replaced_and_nobody_notices(tmp_path: Path) -> None:
    options = ("--workers", "2", "--recycle-requests", "100", "--ping-interval", "0.2")
    with serve(tmp_path, *options) as server:
        server.says("http://")
        with load(server, keep=(True, False), pause=0.005) as answers:
            server.says("recycling", times=3)
            server.says("shutdown ran", times=2)
        assert len({pid for _, pid in answers}) >= 3
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    # One at a time: each successor is ready before the next one starts.
    assert "worker_died" not in server.text
    assert "Traceback" not in server.text


def test_a_worker_that_has_grown_is_replaced(tmp_path: Path) -> None:
    # A worker starts with some 40 MiB, and what this one then holds is 300.
    assert memory() > 1 << 20
    options = (
        "--recycle-memory",
        str(200 << 20),
        "--recycle-jitter",
        "0",
        "--ping-interval",
        "0.2",
    )
    with serve(tmp_path, *options, source=HOARDING) as server:
        _, pid = ask(server)
        ask(server, "/hoard")
        server.says("recycling")
        wait_until(lambda: ask(server)[1] != pid)
        assert f'pid={pid} reason="memory ' in server.text


def test_a_successor_that_does_not_start_leaves_the_old_one(tmp_path: Path) -> None:
    options = ("--recycle-age", "0.3", "--ping-interval", "0.2")
    with serve(tmp_path, *options) as server:
        _, pid = ask(server)
        write_module(tmp_path, "site_app", "raise RuntimeError('not today')")
        server.says("recycling_failed")
        assert "not today" in server.text
        assert ask(server)[1] == pid


def test_a_websocket_of_a_recycled_worker_is_asked_to_come_back(tmp_path: Path) -> None:
    options = ("--recycle-age", "0.5", "--reconnect-window", "20")
    with serve(tmp_path, *options) as server, server.connect() as client:
        client.upgrade()
        while (frame := client.frame())[0] != 8:
            pass
        assert frame[1] == (1012).to_bytes(2, "big") + b"service restart; within=20000"


class _Loop:
    def time(self) -> float:
        return 100.0


class _Context:
    loop: Any = _Loop()
    requests = 0


def test_workers_do_not_all_leave_at_once() -> None:
    config = ServerConfig(recycle_requests=1000, recycle_jitter=0.2)
    assert wanted(config)
    assert not wanted(ServerConfig())
    limits = set()
    for _ in range(50):
        context: Any = _Context()
        recycling = Recycling(config, context)
        while not recycling.reason():
            context.requests += 1
        limits.add(context.requests)
    assert len(limits) > 10
    assert min(limits) >= 800
    assert max(limits) <= 1000


@pytest.mark.parametrize("source", [HANGING, HANGING_IN_LIFESPAN])
def test_a_server_that_hangs_while_it_starts_says_so(tmp_path: Path, source: str) -> None:
    with serve(tmp_path, "--start-timeout", "1.5", source=source) as server:
        assert server.wait() == 1
    assert "Error: A worker was not ready within 1.5 s (start_timeout)." in server.output


def test_a_reload_that_hangs_is_abandoned(tmp_path: Path) -> None:
    with serve(tmp_path, "--start-timeout", "3") as server:
        assert ask(server)[0] == "1"
        write_module(tmp_path, "site_app", HANGING)
        server.signal(signal.SIGHUP)
        server.says("reload_failed")
        assert "start_timeout" in server.text
        assert ask(server)[0] == "1"
