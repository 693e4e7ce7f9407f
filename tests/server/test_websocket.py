"""WebSockets through plain ASGI applications: handshakes, messages, pings, closing."""

import asyncio
import contextlib
import threading
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.server.applications import accepting, websocket_echo
from tests.server.harness import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    CapturedLog,
    masked,
    serving,
    upgrade_request,
    wait_until,
)


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_messages_are_echoed_with_and_without_compression(compression: Any) -> None:
    messages: list[str | bytes] = ["", "short", "ü" * 70_000, b"", b"\0" * 100_000, "z" * 1000]
    with (
        serving(websocket_echo) as server,
        connect(server.websocket_url, compression=compression) as client,
    ):
        assert bool(client.protocol.extensions) is (compression is not None)
        for message in messages:
            client.send(message)
            assert client.recv() == message
        client.send(["frag", "men", "ted"])
        assert client.recv() == "fragmented"


def test_compression_can_be_switched_off() -> None:
    with (
        serving(websocket_echo, websocket_compression=False) as server,
        connect(server.websocket_url) as client,
    ):
        assert client.protocol.extensions == []


def test_messages_sent_with_the_handshake_are_not_lost() -> None:
    with serving(websocket_echo) as server, server.connect() as client:
        client.send(upgrade_request() + masked(TEXT, b"early") + masked(TEXT, b"bird"))
        assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        assert client.frame() == (TEXT, b"early")
        assert client.frame() == (TEXT, b"bird")


def test_the_scope_subprotocol_and_headers() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await receive()
        await send(
            {"type": "websocket.accept", "subprotocol": "b", "headers": [(b"x-seat", b"12")]}
        )

    with serving(app) as server, server.connect() as client:
        head = client.upgrade("/room?x=1", "Sec-WebSocket-Protocol: a, b")
        assert b"sec-websocket-protocol: b\r\n" in head
        assert b"x-seat: 12\r\n" in head
        assert client.frame() == (CLOSE, (1000).to_bytes(2, "big"))
    (scope,) = scopes
    assert (scope["type"], scope["scheme"], scope["path"]) == ("websocket", "ws", "/room")
    assert scope["subprotocols"] == ["a", "b"]
    assert set(scope["extensions"]) == {"websocket.http.response", "seaway.handoff"}
    assert "method" not in scope


def test_messages_that_asgi_does_not_know() -> None:
    errors: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def wrong(**message: Any) -> None:
            with pytest.raises((RuntimeError, ValueError)) as raised:
                await send(message)
            errors.append(str(raised.value))

        await wrong(type="websocket.send", text="too early")
        chosen = [(b"Sec-WebSocket-Protocol", b"a")]
        await wrong(type="websocket.accept", headers=chosen)
        await send({"type": "websocket.accept"})
        await wrong(type="websocket.accept")
        await wrong(type="websocket.send")
        await wrong(type="websocket.send", text=None, bytes=None)
        await wrong(type="websocket.send", text="a", bytes=b"b")
        await send({"type": "websocket.send", "text": None, "bytes": b"b"})

    with serving(app) as server, server.connect() as client:
        client.upgrade()
        assert client.frame() == (BINARY, b"b")
        assert client.frame() == (CLOSE, (1000).to_bytes(2, "big"))
    assert errors == [
        "Unexpected ASGI message 'websocket.send' before accept.",
        "websocket.accept names the subprotocol by its key, not by a header.",
        "Unexpected ASGI message 'websocket.accept' while open.",
        *["The application sent a websocket.send with neither text nor bytes."] * 2,
        "The application sent a websocket.send with both text and bytes.",
    ]


def test_closing_before_accepting_is_403() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"})

    with serving(app) as server:
        with pytest.raises(InvalidStatus) as refused, connect(server.websocket_url):
            pass
        assert refused.value.response.status_code == 403


def test_a_denial_response() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"x-why", b"full")]
        await send({"type": "websocket.http.response.start", "status": 429, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"come ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"later"})

    with serving(app) as server, server.connect() as client:
        head = client.upgrade()
        assert head.startswith(b"HTTP/1.1 429 ")
        assert b"x-why: full\r\n" in head
        rest = client.receive_all()
        assert b"come " in rest
        assert b"later" in rest


@pytest.mark.parametrize(
    ("header", "status"),
    [("Sec-WebSocket-Version: 7", 426), ("Sec-WebSocket-Key: short", 400)],
)
def test_a_malformed_handshake_never_reaches_the_application(
    header: str, status: int, log: CapturedLog
) -> None:
    called = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        called.set()

    with serving(app) as server, server.connect() as client:
        client.send(
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + header.encode()
            + b"\r\n\r\n"
        )
        answer = client.receive_all()
        assert answer.startswith((b"HTTP/1.1 %d " % status, b"HTTP/1.1 426 "))
    assert not called.is_set()
    assert log.tracebacks == []


def test_the_applications_close_code_and_reason_reach_the_client() -> None:
    async def body(receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": 4321, "reason": "enough"})

    with serving(accepting(body)) as server, connect(server.websocket_url) as client:
        with pytest.raises(ConnectionClosed) as closed:
            client.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "enough")


@pytest.mark.parametrize(
    ("frame", "seen"),
    [
        (masked(CLOSE, (3001).to_bytes(2, "big") + b"bye"), (3001, "bye")),
        (masked(CLOSE), (1005, "")),
        (None, (1006, "")),
    ],
)
def test_the_clients_close_reaches_the_application(frame: Any, seen: Any) -> None:
    told: list[Any] = []

    async def body(receive: Any, send: Any) -> None:
        message = await receive()
        told.append((message["type"], message["code"], message["reason"]))
        with pytest.raises(OSError, match="disconnected"):
            await send({"type": "websocket.send", "text": "anyone?"})
        told.append("raised")

    with serving(accepting(body)) as server:
        with server.connect() as client:
            client.upgrade()
            if frame:
                client.send(frame)
                assert client.frame() == (CLOSE, frame[6:8])
                assert client.receive_all() == b""
        wait_until(lambda: len(told) == 2)
    assert told == [("websocket.disconnect", *seen), "raised"]


def test_the_clients_pings_are_answered() -> None:
    with serving(websocket_echo) as server, server.connect() as client:
        client.upgrade()
        client.send(masked(PING, b"are you there"))
        assert client.frame() == (PONG, b"are you there")


def test_a_client_that_answers_pings_stays() -> None:
    with (
        serving(websocket_echo, ping_interval=0.1, ping_misses=2) as server,
        server.connect() as client,
    ):
        client.upgrade()
        for _ in range(8):
            assert client.frame()[0] == PING
            client.send(masked(PONG))
        client.send(masked(BINARY, b"still here"))
        while (frame := client.frame())[0] == PING:
            pass
        assert frame == (BINARY, b"still here")


def test_a_client_that_leaves_pings_unanswered_is_dropped() -> None:
    told: list[Any] = []

    async def body(receive: Any, send: Any) -> None:
        told.append(await receive())

    options = {"ping_interval": 0.1, "ping_misses": 2, "close_timeout": 0.1}
    with serving(accepting(body), **options) as server, server.connect() as client:
        client.upgrade()
        frames = [client.frame() for _ in range(3)]
        assert [opcode for opcode, _ in frames] == [PING, PING, CLOSE]
        assert frames[2][1] == (4001).to_bytes(2, "big") + b"pings unanswered"
        wait_until(lambda: told)
    assert told == [{"type": "websocket.disconnect", "code": 1006, "reason": "pings unanswered"}]


def test_a_close_that_is_never_answered_ends_all_the_same() -> None:
    async def body(receive: Any, send: Any) -> None:
        await send({"type": "websocket.close"})

    with serving(accepting(body), close_timeout=0.1) as server, server.connect() as client:
        client.upgrade()
        assert client.frame()[0] == CLOSE
        with pytest.raises((ConnectionResetError, AssertionError)):
            client.frame()


def test_a_sender_waits_for_a_client_that_does_not_read() -> None:
    sent = 0

    async def body(receive: Any, send: Any) -> None:
        nonlocal sent
        for _ in range(2048):
            await send({"type": "websocket.send", "bytes": bytes(32768)})
            sent += 32768

    with serving(accepting(body)) as server, server.connect(receive_buffer=65536) as client:
        client.upgrade()
        before = -1
        while sent != before or not sent:
            before = sent
            threading.Event().wait(0.1)
        assert sent < 16 * 1024 * 1024
        assert all(client.frame() == (BINARY, bytes(32768)) for _ in range(2048))


def test_an_application_that_does_not_receive_stops_the_client() -> None:
    received = 0
    go = asyncio.Event()
    loops: list[Any] = []

    async def body(receive: Any, send: Any) -> None:
        nonlocal received
        loops.append(asyncio.get_running_loop())
        await go.wait()
        while (message := await receive())["type"] == "websocket.receive":
            received += len(message["bytes"])

    with serving(accepting(body)) as server, server.connect() as client:
        client.upgrade()
        frame = masked(BINARY, bytes(65536))
        client.socket.settimeout(0.3)
        queued = 0
        with contextlib.suppress(TimeoutError):
            while queued < 1024:
                client.send(frame)
                queued += 1
        assert queued < 512
        loops[0].call_soon_threadsafe(go.set)
        # What the time-out has left of the last frame is not known: only whole ones count.
        wait_until(lambda: received >= queued * 65536)


def test_other_connections_are_served_while_one_is_flooded() -> None:
    async def body(receive: Any, send: Any) -> None:
        if (await receive()).get("text") != "flood":
            await send({"type": "websocket.send", "text": "served"})
            return
        while True:
            await send({"type": "websocket.send", "text": "x"})

    with serving(accepting(body)) as server, server.connect() as flooded:
        flooded.upgrade()
        flooded.send(masked(TEXT, b"flood"))
        assert flooded.frame() == (TEXT, b"x")
        stop = threading.Event()

        def drink() -> None:
            while not stop.is_set():
                flooded.socket.recv(1 << 20)

        drinker = threading.Thread(target=drink)
        drinker.start()
        with server.connect() as other:
            other.upgrade()
            other.send(masked(TEXT, b"hello"))
            assert other.frame() == (TEXT, b"served")
        stop.set()
        drinker.join()


def test_a_stopping_server_says_1012() -> None:
    with serving(websocket_echo) as server, server.connect() as client:
        client.upgrade()
        server.runner.stop()
        assert client.frame() == (CLOSE, (1012).to_bytes(2, "big") + b"service restart")
        client.send(masked(CLOSE, (1012).to_bytes(2, "big")))
        assert client.receive_all() == b""
