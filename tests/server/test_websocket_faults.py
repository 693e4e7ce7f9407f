"""WebSockets when somebody is at fault: applications that fail, clients that break the protocol."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.server.applications import accepting, websocket_echo
from tests.server.harness import (
    CLOSE,
    PING,
    TEXT,
    CapturedLog,
    masked,
    serving,
    upgrade_request,
    wait_until,
)


def test_an_application_that_fails_closes_with_1011(log: CapturedLog) -> None:
    async def body(receive: Any, send: Any) -> None:
        raise RuntimeError("boom")

    with serving(accepting(body)) as server, server.connect() as client:
        client.upgrade()
        assert client.frame() == (CLOSE, (1011).to_bytes(2, "big"))
    assert len(log.tracebacks) == 1


def test_an_application_that_fails_before_it_answers_is_a_500(log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("boom")

    with serving(app) as server, server.connect() as client:
        client.send(b"")
        assert client.upgrade().startswith(b"HTTP/1.1 500 ")
    assert log.events[0] == "application_failed"


def test_a_message_over_the_limit_closes_with_1009() -> None:
    with (
        serving(websocket_echo, max_message_bytes=1000) as server,
        connect(server.websocket_url, compression=None) as client,
    ):
        client.send("x" * 1000)
        assert len(client.recv()) == 1000
        client.send("x" * 50_000)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_malformed_frames_close_with_1002_and_no_traceback(log: CapturedLog) -> None:
    with serving(websocket_echo) as server, server.connect() as client:
        client.upgrade()
        client.send(b"\x81\x05hello")
        opcode, payload = client.frame()
        assert (opcode, payload[:2]) == (CLOSE, (1002).to_bytes(2, "big"))
        assert client.receive_all() == b""
    assert log.tracebacks == []


def test_messages_before_a_violation_are_answered_before_the_connection_fails() -> None:
    with serving(websocket_echo) as server, server.connect() as client:
        client.upgrade()
        client.send(masked(TEXT, b"one") + masked(TEXT, b"two") + b"\x83\x80abcd" + masked(PING))
        assert client.frame() == (TEXT, b"one")
        assert client.frame() == (TEXT, b"two")
        opcode, payload = client.frame()
        assert (opcode, payload[:2]) == (CLOSE, (1002).to_bytes(2, "big"))
        assert client.receive_all() == b""


def test_an_application_that_leaves_messages_unread_does_not_hold_up_a_violation() -> None:
    seen = threading.Event()

    async def body(receive: Any, send: Any) -> None:
        await asyncio.to_thread(seen.wait, 30)

    with serving(accepting(body), close_timeout=0.2) as server, server.connect() as client:
        client.upgrade()
        client.send(masked(TEXT, b"one") + b"\x83\x80abcd")
        opcode, payload = client.frame()
        assert (opcode, payload[:2]) == (CLOSE, (1002).to_bytes(2, "big"))
        seen.set()


@pytest.mark.parametrize("ends", ["returns", "closes"])
def test_a_violation_is_said_even_if_the_application_is_through(ends: str) -> None:
    async def body(receive: Any, send: Any) -> None:
        await receive()
        if ends == "closes":
            await send({"type": "websocket.close"})

    with serving(accepting(body)) as server, server.connect() as client:
        client.upgrade()
        client.send(masked(TEXT, b"one") + b"\x83\x80abcd")
        opcode, payload = client.frame()
        assert (opcode, payload[:2]) == (CLOSE, (1002).to_bytes(2, "big"))
        assert client.receive_all() == b""


def test_a_handler_that_takes_over_hears_what_came_before_a_violation() -> None:
    heard: list[Any] = []

    class Listener:
        def on_message(self, data: str | bytes) -> None:
            heard.append(data)

        def on_writable(self) -> None:
            raise AssertionError

        def on_close(self, code: int, reason: str) -> None:
            heard.append(code)

    def taking(after: int) -> Callable[[Any, Any, Any], Awaitable[None]]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            heard.clear()
            heard.extend([(await receive())["text"] for _ in range(after)])
            await asyncio.sleep(0)
            scope["extensions"]["seaway.handoff"]["take"](Listener())

        return app

    for after in (0, 1, 2):
        with serving(taking(after)) as server, server.connect() as client:
            frames = masked(TEXT, b"one") + masked(TEXT, b"two") + b"\x83\x80abcd"
            client.send(upgrade_request() + frames)
            client.receive_until(b"\r\n\r\n")
            opcode, payload = client.frame()
            assert (opcode, payload[:2]) == (CLOSE, (1002).to_bytes(2, "big"))
            assert client.receive_all() == b""
        wait_until(lambda: heard == ["one", "two", 1006])


def test_a_message_of_nothing_is_the_applications_fault(log: CapturedLog) -> None:
    told: list[str] = []

    async def body(receive: Any, send: Any) -> None:
        for message in ({}, {"text": None}, {"bytes": None, "text": None}):
            with pytest.raises(ValueError, match="neither text nor bytes") as error:
                await send({"type": "websocket.send", **message})
            told.append(str(error.value))

    with serving(accepting(body)) as server, server.connect() as client:
        client.upgrade()
        assert client.frame() == (CLOSE, (1000).to_bytes(2, "big"))
    assert len(told) == 3
    assert log.tracebacks == []
