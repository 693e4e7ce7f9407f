"""HTTP/1.1 on real sockets: requests, bodies, keep-alive, and clients that misbehave."""

import asyncio
import contextlib
import threading
import time
from typing import Any

import pytest

from seaway.server.asgi_types import ClientDisconnected
from tests.server.harness import CapturedLog, serving, wait_until


async def respond(send: Any, body: bytes = b"ok", status: int = 200, *headers: Any) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Any) -> bytes:
    body = b""
    while True:
        message: dict[str, Any] = await receive()
        assert message["type"] == "http.request"
        body += bytes(message["body"])
        if not message["more_body"]:
            return body


async def echo(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    body = await read_body(receive)
    await respond(send, scope["path"].encode() + b":" + body)


def test_a_request_is_answered_and_the_connection_is_kept() -> None:
    with serving(echo) as server, server.connect() as client:
        first = client.request("/one")
        second = client.request("/two")
        assert (first.status, first.body) == (200, b"/one:")
        assert "date" in first.headers
        assert "server" not in first.headers
        assert second.body == b"/two:"


def test_connection_close_and_http_1_0_end_the_connection() -> None:
    with serving(echo) as server:
        with server.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert client.receive_all().endswith(b"/:")
        with server.connect() as client:
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            assert client.receive_all().endswith(b"/:")


def test_pipelined_requests_are_answered_in_their_order() -> None:
    async def slow_first(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/0":
            await asyncio.sleep(0.05)
        await respond(send, scope["path"].encode())

    with serving(slow_first) as server, server.connect() as client:
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(20)))
        assert [client.response().body for _ in range(20)] == [b"/%d" % n for n in range(20)]


def test_a_pipelined_body_reaches_its_own_request() -> None:
    with serving(echo) as server, server.connect() as client:
        post = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab%d"
        client.send(b"".join(post % (n, n) for n in range(5)))
        assert [client.response().body for _ in range(5)] == [
            b"/%d:ab%d" % (n, n) for n in range(5)
        ]


def test_chunked_bodies_both_ways() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for byte in body:
            await send({"type": "http.response.body", "body": bytes((byte,)), "more_body": True})
        await send({"type": "http.response.body"})

    with serving(app) as server, server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"3\r\nabc\r\n")
        client.send(b"2\r\nde\r\n0\r\n\r\n")
        response = client.response()
        assert response.headers["transfer-encoding"] == "chunked"
        assert response.body == b"abcde"
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nz")
        assert client.response().body == b"z"


def test_expect_100_continue_is_answered_when_the_body_is_wanted() -> None:
    asked = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/refuse":
            await respond(send, b"no", 413)
            return
        asked.set()
        await respond(send, await read_body(receive))

    head = b"POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    with serving(app) as server:
        with server.connect() as client:
            client.send(head % b"/")
            assert client.receive_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert asked.is_set()
            client.send(b"body")
            assert client.response().body == b"body"
        with server.connect() as client:
            client.send(head % b"/refuse")
            answer = client.receive_all()
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert b"connection: close" in answer


def test_head_has_the_headers_and_no_body() -> None:
    with serving(echo) as server, server.connect() as client:
        client.send(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"content-length: 3\r\n" in client.receive_until(b"\r\n\r\n")
        assert client.request("/y").body == b"/y:"


def test_the_scope_says_what_was_asked() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await respond(send)

    with serving(app, root_path="/app") as server, server.connect() as client:
        client.request("/caf%C3%A9/%2F?q=%20&r", "X-Two: a", "X-Two: b")
        scope = scopes[0]
        assert scope["type"] == "http"
        assert scope["asgi"] == {"version": "3.0", "spec_version": "2.5"}
        assert (scope["method"], scope["scheme"], scope["http_version"]) == ("GET", "http", "1.1")
        assert scope["path"] == "/app/café//"
        # As it came: the proxy in front has taken the prefix away.
        assert scope["raw_path"] == b"/caf%C3%A9/%2F"
        assert scope["root_path"] == "/app"
        assert scope["query_string"] == b"q=%20&r"
        assert scope["headers"][-2:] == [(b"x-two", b"a"), (b"x-two", b"b")]
        assert scope["client"] == client.socket.getsockname()
        assert scope["server"] == server.address
        client.request("http://localhost/absolute?x", "X: y")
        assert scopes[1]["path"] == "/app/absolute"
        client.request("*", method="OPTIONS")
        assert scopes[2]["raw_path"] == b"*"


def test_a_head_is_held_until_the_first_part_of_the_body() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("too late for a 200, early enough for a 500")

    with serving(app) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.receive_all().startswith(b"HTTP/1.1 500 ")


def test_an_upload_waits_in_the_kernel_while_the_application_does_not_read() -> None:
    go = asyncio.Event()
    loops: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        loops.append(asyncio.get_running_loop())
        await go.wait()
        size = largest = 0
        while True:
            message = await receive()
            size += len(message["body"])
            largest = max(largest, len(message["body"]))
            if not message["more_body"]:
                break
        await respond(send, f"{size} {largest}".encode())

    total = 64 * 1024 * 1024
    with serving(app, body_buffer=65536) as server, server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % total)
        client.socket.setblocking(False)
        sent, stalls = 0, 0
        piece = bytes(65536)
        while stalls < 20:
            try:
                sent += client.socket.send(piece)
                stalls = 0
            except BlockingIOError:
                stalls += 1
                threading.Event().wait(0.01)
        # What the kernel holds of a connection is bounded, and the server holds one buffer.
        assert sent < 32 * 1024 * 1024
        loops[0].call_soon_threadsafe(go.set)
        client.socket.settimeout(20)
        while sent < total:
            sent += client.socket.send(piece[: total - sent])
        size, largest = map(int, client.response().body.split())
        assert size == total
        # Over the buffer's 64 KiB by one read of the transport (256 KiB) at most.
        assert largest <= 65536 + 256 * 1024


def test_a_download_waits_while_the_client_does_not_read() -> None:
    produced = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal produced
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(2048):
            await send({"type": "http.response.body", "body": bytes(32768), "more_body": True})
            produced += 32768
        await send({"type": "http.response.body"})

    with serving(app) as server, server.connect(receive_buffer=65536) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        before = -1
        while produced != before or not produced:
            before = produced
            threading.Event().wait(0.1)
        assert produced < 16 * 1024 * 1024
        assert len(client.response().body) == 2048 * 32768


def test_a_disconnect_reaches_receive_and_then_send() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        seen.append((await receive())["type"])
        try:
            while True:
                await send({"type": "http.response.body", "body": b"more", "more_body": True})
                await asyncio.sleep(0.001)
        except OSError as error:
            seen.append(type(error))
            raise

    with serving(app) as server:
        with server.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.receive_until(b"first")
        wait_until(lambda: len(seen) == 2, "the disconnect")
    assert seen == ["http.disconnect", ClientDisconnected]


def test_a_half_closed_client_still_gets_its_answer() -> None:
    with serving(echo) as server, server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        client.socket.shutdown(1)
        assert client.receive_all().endswith(b"/:hi")


@pytest.mark.parametrize("started", [False, True])
def test_an_application_that_fails(started: bool, log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if started:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
        raise RuntimeError("boom")

    with serving(app) as server, server.connect() as client:
        client.send(b"GET /path?secret=1 HTTP/1.1\r\nHost: a\r\n\r\n")
        if started:
            with pytest.raises((ConnectionResetError, AssertionError)):
                client.response()
        else:
            assert client.receive_all().startswith(b"HTTP/1.1 500 ")
        wait_until(lambda: "application_failed" in log.events, "the log line")
    assert "secret" not in log.records[0].getMessage()
    assert len(log.tracebacks) == 1


def test_an_application_that_ends_without_a_response(log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        return

    with serving(app) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.receive_all().startswith(b"HTTP/1.1 500 ")
    assert log.events == ["no_response"]


def test_messages_out_of_order_are_the_applications_fault() -> None:
    errors: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for kind in ("http.response.body", "websocket.send"):
            with pytest.raises(RuntimeError) as raised:
                await send({"type": kind})
            errors.append(str(raised.value))
        await respond(send)
        with pytest.raises(RuntimeError) as raised:
            await send({"type": "websocket.send"})
        errors.append(str(raised.value))

    with serving(app) as server, server.connect() as client:
        assert client.request().status == 200
        wait_until(lambda: len(errors) == 3)
    assert errors == [
        "Unexpected ASGI message 'http.response.body' before the response.",
        "Unexpected ASGI message 'websocket.send' before the response.",
        "Unexpected ASGI message 'websocket.send' after the response.",
    ]


def test_messages_behind_the_response_are_ignored_and_noted(log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send)
        await send({"type": "http.response.body", "body": b"more"})

    with serving(app) as server, server.connect() as client:
        assert client.request().body == b"ok"
        assert client.request().body == b"ok"
        wait_until(lambda: log.events == ["message_ignored"] * 2)


def test_a_transfer_encoding_of_the_applications_is_ignored() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        coding = (b"transfer-encoding", b"gzip")
        await respond(send, b"ok", 200, coding)

    with serving(app) as server, server.connect() as client:
        response = client.request()
    assert "transfer-encoding" not in response.headers
    assert response.body == b"ok"


def test_a_body_that_contradicts_its_content_length_becomes_a_500(log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"3")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"four"})

    with serving(app) as server, server.connect() as client:
        assert client.request().status == 500
        assert client.receive_all() == b""
        wait_until(lambda: log.events == ["application_failed"])


def test_a_body_that_goes_on_past_its_content_length_is_cut_off(log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"3")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"on", "more_body": True})
        await send({"type": "http.response.body", "body": b"e!"})

    with serving(app) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises((ConnectionResetError, AssertionError)):
            client.response()
        wait_until(lambda: log.events == ["application_failed"])


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"BLURB\r\n\r\n", 501),
        (b"GET\x00 / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
    ],
)
def test_malformed_requests_are_answered_without_a_traceback(
    request_bytes: bytes, status: int, log: CapturedLog
) -> None:
    with serving(echo) as server:
        with server.connect() as client:
            client.send(request_bytes)
            assert client.receive_all().startswith(b"HTTP/1.1 %d " % status)
        with server.connect() as client:
            assert client.request().status == 200
    assert log.tracebacks == []


def test_a_violation_behind_good_requests_is_answered_in_its_turn() -> None:
    with serving(echo) as server, server.connect() as client:
        client.send(b"GET /good HTTP/1.1\r\nHost: a\r\n\r\nGET nowhere HTTP/1.1\r\n\r\n")
        assert client.response().body == b"/good:"
        assert client.receive_all().startswith(b"HTTP/1.1 400 ")


def test_a_violation_in_a_body_ends_the_request() -> None:
    with serving(echo) as server, server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert client.receive_all().startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 500 "))


def test_half_a_head_is_timed_out() -> None:
    with serving(echo, header_timeout=0.2) as server:
        with server.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHos")
            assert client.receive_all().startswith(b"HTTP/1.1 408 ")
        with server.connect() as silent:
            assert silent.receive_all() == b""


def test_a_head_that_trickles_in_is_timed_out_all_the_same() -> None:
    with serving(echo, header_timeout=0.3) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\n")
        client.socket.settimeout(0.02)
        received = b""
        for _ in range(1000):
            try:
                received = client.socket.recv(1000)
                break
            except TimeoutError:
                client.send(b"X: y\r\n")
        assert received.startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed() -> None:
    with serving(echo, idle_timeout=0.2) as server, server.connect() as client:
        assert client.request().status == 200
        assert client.receive_all() == b""


def test_a_body_that_stalls_is_given_up() -> None:
    with serving(echo, body_timeout=0.2) as server, server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        assert client.receive_all().startswith(b"HTTP/1.1 408 ")


def test_a_body_that_trickles_in_is_given_up_all_the_same() -> None:
    with serving(echo, body_timeout=0.3) as server, server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        client.socket.settimeout(0.02)
        received = b""
        # A byte at a time, for as long as the server listens.
        for _ in range(1000):
            client.send(b"x")
            with contextlib.suppress(TimeoutError):
                received = client.socket.recv(65536)
                break
        assert received.startswith(b"HTTP/1.1 408 ")


def test_a_body_may_take_as_long_as_it_goes_on() -> None:
    with serving(echo, body_timeout=1.0) as server, server.connect() as client:
        size = 12 * 2048
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        started = time.monotonic()
        for _ in range(12):
            client.send(bytes(2048))
            # What is tested is that time passes, more than `body_timeout`.
            time.sleep(0.1)
        assert time.monotonic() - started > 1.0
        assert client.response().status == 200


def test_a_client_that_waits_for_its_100_is_not_timed() -> None:
    waiting = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.to_thread(waiting.wait, 10)
        message = await receive()
        await respond(send, message["body"])

    with serving(app, body_timeout=0.1) as server, server.connect() as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        client.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.receive_until(b"\r\n\r\n")
        client.socket.settimeout(10)
        waiting.set()
        assert client.receive_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"ok")
        assert client.response().body == b"ok"


def test_a_reader_keeps_its_connection_as_long_as_it_takes_something() -> None:
    size = 16 * 1024 * 1024
    connections: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        connections.append(send.__self__._connection)
        await respond(send, bytes(size), 200, (b"connection", b"close"))

    with serving(app) as server, server.connect(receive_buffer=65536) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: connections and connections[0].closing)
        connection = connections[0]
        unsent = connection._unsent
        assert unsent
        received = 0
        while connection.transport.get_write_buffer_size() >= unsent:
            received += len(client.socket.recv(65536))
        # The time is up, but something has moved: it gets more.
        connection.context.loop.call_soon_threadsafe(connection.expire)
        wait_until(lambda: connection._unsent < unsent)
        # From here on nothing moves.
        wait_until(
            lambda: (
                connection.context.loop.call_soon_threadsafe(connection.expire),
                connection not in connection.context.open,
            )[1]
        )
        assert received + len(client.receive_all()) < size


def test_a_client_that_takes_nothing_is_dropped() -> None:
    ended: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
        except OSError as error:
            ended.append(type(error))
            raise

    with serving(app, idle_timeout=0.2) as server, server.connect(receive_buffer=65536) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: ended)
    assert ended == [ClientDisconnected]


def test_a_refused_handshake_does_not_keep_its_connection() -> None:
    def served() -> bool:
        with server.connect() as other:
            return other.request().status == 200

    options = {"max_connections": 1, "ping_interval": 0.2}
    with serving(echo, **options) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n")
        client.send(b"Connection: Upgrade\r\n\r\n")
        assert client.receive_all().startswith(b"HTTP/1.1 426 ")
        # The client keeps its end open; the server lets go of its own after the linger.
        wait_until(served)


def test_an_unread_body_is_dropped_and_the_connection_kept() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"early")

    with serving(app) as server, server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        assert client.response().body == b"early"
        client.send(bytes(100000))
        assert client.request().body == b"early"


def test_an_unread_body_without_an_end_closes_the_connection() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"early")

    with serving(app) as server, server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        assert client.response().body == b"early"
        client.send(bytes(1000000) + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.receive_all() == b""


def test_connections_over_the_limit_are_turned_away(log: CapturedLog) -> None:
    with serving(echo, max_connections=2, ping_interval=0.2) as server:
        with server.connect() as one, server.connect() as two:
            assert one.request().status == two.request().status == 200
            with server.connect() as three:
                assert three.receive_all().startswith(b"HTTP/1.1 503 ")
        with server.connect() as four:
            wait_until(lambda: four.request().status == 200)
        wait_until(lambda: "connections_refused" in log.events)


def test_a_request_for_another_protocol_is_answered_as_a_plain_one() -> None:
    with serving(echo) as server, server.connect() as client:
        upgrade = b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        client.send(upgrade % 1 + upgrade % 2)
        assert client.response().body == b"/1:"
        assert client.response().body == b"/2:"
