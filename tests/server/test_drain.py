"""Leaving: what a stop waits for, and what it does not."""

import asyncio
import contextlib
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.server.applications import echo, respond
from tests.server.harness import (
    CLOSE,
    PATIENCE,
    TEXT,
    CapturedLog,
    masked,
    refuses,
    serving,
    upgrade_request,
    wait_until,
    write_module,
)


def test_after_the_drain_timeout_requests_are_cut_off(log: CapturedLog) -> None:
    ended: list[Any] = []
    begun = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    with serving(app, drain_timeout=0.1) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert begun.wait(10)
        server.runner.stop()
        with pytest.raises((ConnectionResetError, AssertionError)):
            client.response()
    assert ended == ["cancelled"]
    (record,) = (each for each in log.records if "drain_timeout" in each.getMessage())
    assert record.getMessage() == "drain_timeout connections=1 requests=1"


def test_a_second_stop_cuts_off_at_once() -> None:
    begun = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await asyncio.sleep(60)

    with serving(app, drain_timeout=60) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert begun.wait(10)
        server.runner.stop()
        server.runner.stop()
        with pytest.raises((ConnectionResetError, AssertionError)):
            client.response()


def test_a_busy_connection_gets_its_next_answer_and_is_told_to_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("seaway.server.connection._DRAIN_SILENCE", 30.0)

    with serving(echo) as server, server.connect() as client:
        assert client.request("/before").status == 200
        server.runner.stop()
        wait_until(lambda: refuses(server.connect), "the drain")
        # The kept-alive connection still answers: a client in mid-series is not cut off.
        last = client.request("/after")
        assert last.body == b"/after:"
        assert last.headers["connection"] == "close"
        assert client.receive_all() == b""


def test_a_websocket_that_is_accepted_during_the_drain_is_told_to_go() -> None:
    go = threading.Event()
    asked = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        asked.set()
        await asyncio.to_thread(go.wait, 10)
        await send({"type": "websocket.accept"})
        await receive()

    with serving(app) as server, server.connect() as client:
        client.send(upgrade_request())
        assert asked.wait(10)
        server.runner.stop()
        go.set()
        client.receive_until(b"\r\n\r\n")
        assert client.frame()[1][:2] == (1012).to_bytes(2, "big")
        client.send(masked(CLOSE, (1012).to_bytes(2, "big")))


def test_background_work_after_the_response_is_waited_for() -> None:
    done = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send)
        await asyncio.sleep(0.1)
        done.set()

    with serving(app) as server, server.connect() as client:
        assert client.request().status == 200
    assert done.is_set()


def test_a_client_that_leaves_during_its_handshake(log: CapturedLog) -> None:
    told: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.append((await receive())["type"])
        told.append((await receive())["type"])
        with pytest.raises(OSError, match="disconnected"):
            await send({"type": "websocket.accept"})
        told.append("raised")

    with serving(app) as server:
        with server.connect() as client:
            client.send(upgrade_request())
            wait_until(lambda: told)
        wait_until(lambda: len(told) == 3)
    assert told == ["websocket.connect", "websocket.disconnect", "raised"]
    assert log.records == []


def test_a_refused_websocket_is_in_the_access_log(log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"})

    with serving(app, access_log=True) as server, server.connect() as client:
        client.upgrade("/private?token=secret")
        wait_until(lambda: log.events == ["websocket_refused"])
    assert log.records[0].getMessage() == (
        "websocket_refused path=/private status=403 client=127.0.0.1"
    )


def test_a_worker_that_does_not_leave_is_killed(tmp_path: Path) -> None:
    write_module(
        tmp_path,
        "stubborn",
        """
        import time

        async def application(scope, receive, send):
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            print("shutting down", flush=True)
            time.sleep(600)
        """,
    )
    script = (
        "from seaway.server import crew, supervisor;"
        "from seaway.server.config import ServerConfig;"
        "crew._SHUTDOWN_GRACE = 0.5;"
        "config = ServerConfig(bind=('127.0.0.1:0',), drain_timeout=0.1, lifespan='on');"
        "supervisor.Supervisor('stubborn', config).run()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        assert any("stubborn" in line for line in lines)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert "worker_killed" in "".join(lines)
        assert process.wait(20) == 0
        assert time.monotonic() - started < 60


def test_text_frames_of_a_closing_connection_are_not_delivered() -> None:
    received: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000})
        while (message := await receive())["type"] == "websocket.receive":
            received.append(message)

    with serving(app) as server, server.connect() as client:
        client.upgrade()
        assert client.frame()[0] == CLOSE
        client.send(masked(TEXT, b"late") + masked(CLOSE, (4000).to_bytes(2, "big")))
        assert client.receive_all() == b""
    assert received == []


def test_websockets_are_told_to_go_over_a_time_and_when_to_come_back() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(app, reconnect_window=12.5))
        clients = [stack.enter_context(server.connect()) for _ in range(100)]
        for client in clients:
            client.upgrade()
        server.runner.stop()
        waiting = {client.socket: client for client in clients}
        told = []
        while waiting:
            for sock in select.select(list(waiting), [], [], PATIENCE)[0]:
                client = waiting.pop(sock)
                assert client.frame() == (CLOSE, b"\x03\xf4service restart; within=12500")
                told.append(time.monotonic())
                client.send(masked(CLOSE, b"\x03\xf4"))
        # 100 connections: a tenth of a second, in steps.
        assert max(told) - min(told) > 0.05


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_request_that_meets_the_idle_timeout_is_answered(loop: str) -> None:
    """The loop was busy when it came: its time is up, but it lies in the kernel."""
    asked = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/busy":
            asked.set()
            time.sleep(0.6)  # noqa: ASYNC251 - blocking the loop is the point
        await respond(send)

    options = {"idle_timeout": 0.25, "header_timeout": 5.0}
    serve = serving(app, loop=loop, **options)
    with serve as server, server.connect() as busy, server.connect() as client:
        assert client.request().status == 200
        busy.send(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n")
        assert asked.wait(10)
        assert client.request().status == 200
