"""HTTP/1.1 on real sockets: requests, bodies, keep-alive, and who waits for whom."""

import asyncio
import threading
from typing import Any

from seaway.server.asgi_types import ClientDisconnected
from tests.server.applications import http_echo, read_body, respond
from tests.server.harness import CapturedLog, serving, wait_until


def test_a_request_is_answered_and_the_connection_is_kept() -> None:
    with serving(http_echo) as server, server.connect() as client:
        first = client.request("/one")
        second = client.request("/two")
        assert (first.status, first.body) == (200, b"/one:")
        assert "date" in first.headers
        assert "server" not in first.headers
        assert second.body == b"/two:"


def test_connection_close_and_http_1_0_end_the_connection() -> None:
    with serving(http_echo) as server:
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
    with serving(http_echo) as server, server.connect() as client:
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
    with serving(http_echo) as server, server.connect() as client:
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
    with serving(http_echo) as server, server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        client.socket.shutdown(1)
        assert client.receive_all().endswith(b"/:hi")


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
    with serving(http_echo, max_connections=2, ping_interval=0.2) as server:
        with server.connect() as one, server.connect() as two:
            assert one.request().status == two.request().status == 200
            with server.connect() as three:
                assert three.receive_all().startswith(b"HTTP/1.1 503 ")
        with server.connect() as four:
            wait_until(lambda: four.request().status == 200)
        wait_until(lambda: "connections_refused" in log.events)


def test_a_request_for_another_protocol_is_answered_as_a_plain_one() -> None:
    with serving(http_echo) as server, server.connect() as client:
        upgrade = b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        client.send(upgrade % 1 + upgrade % 2)
        assert client.response().body == b"/1:"
        assert client.response().body == b"/2:"
