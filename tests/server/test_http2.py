"""HTTP/2 through plain ASGI applications: the same cycle as over HTTP/1.1, many at once."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from compliance.http2_frames import (
    CANCEL,
    DATA,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    GET,
    GOAWAY,
    HEADERS,
    INTERNAL_ERROR,
    NO_ERROR,
    POST,
    PREFACE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    block,
    data,
    frame,
    headers,
    rst_stream,
    settings,
)

from tests.server.harness import CapturedLog, serving, wait_until
from tests.server.http2_client import Http2Client

MIB = 1024 * 1024
WINDOW = 65_535


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def read_all(receive: Any) -> bytes:
    body: bytes = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            return body
    raise ConnectionError("the client has gone")


async def mirror(scope: Any, receive: Any, send: Any) -> None:
    body = await read_all(receive)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


class Scopes:
    """Notes the scopes of its requests."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(scope)
        await hello(scope, receive, send)


def test_a_request_and_its_scope() -> None:
    app = Scopes()
    with serving(app) as server, Http2Client(server) as client:
        fields = (
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/caf%C3%A9?q=1"),
            (":authority", "localhost:80"),
            ("cookie", "a=1"),
            ("x", "y"),
            ("cookie", "b=2"),
        )
        client.send(headers(1, fields))
        head = client.head()
        assert (head[":status"], head["x-a"]) == ("200", "b")
        assert "date" in head
        assert client.frame(DATA).payload == b"hello"
    scope = app.seen[0]
    assert scope["http_version"] == "2"
    assert (scope["method"], scope["path"], scope["raw_path"]) == ("GET", "/café", b"/caf%C3%A9")
    assert (scope["query_string"], scope["scheme"]) == (b"q=1", "http")
    assert scope["headers"] == [(b"host", b"localhost:80"), (b"x", b"y"), (b"cookie", b"a=1; b=2")]


def test_settings_that_the_server_sends() -> None:
    with serving(hello, max_streams=7) as server, Http2Client(server) as client:
        assert client.settings[3] == 7
        assert client.settings[8] == 1


def test_an_independent_client_uploads_and_downloads() -> None:
    payload = bytes(range(256)) * 12_000
    with serving(mirror) as server, httpx.Client(http1=False, http2=True) as client:
        for _ in range(3):
            answer = client.post(server.url, content=payload, timeout=20)
            assert answer.http_version == "HTTP/2"
            assert answer.content == payload


def test_hundreds_of_requests_at_once() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    async def ask(url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(http1=False, http2=True, timeout=20) as client:
            await client.get(url)
            return await asyncio.gather(*(client.get(f"{url}/{n}") for n in range(500)))

    with serving(app) as server:
        answers = asyncio.run(ask(server.url))
    assert [answer.text for answer in answers] == [f"/{n}" for n in range(500)]


def test_thousands_of_requests_one_after_another() -> None:
    with serving(hello) as server, Http2Client(server) as client:
        for start in range(1, 6001, 100):
            streams = range(start, start + 100, 2)
            client.open_window(1000, 0)
            client.send(*(headers(stream) for stream in streams))
            client.peer.until(lambda each: each.stream == streams[-1] and each.ended)  # noqa: B023


def test_answers_of_one_turn_are_one_write() -> None:
    with serving(hello) as server, Http2Client(server) as client:
        client.send(*(headers(stream) for stream in range(1, 41, 2)))
        first = client._client.socket.recv(65536)
    assert first.count(b"hello") == 20


def test_responses_without_a_body() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        status = 204 if scope["path"] == "/204" else 200
        length = [(b"content-length", b"5")] if scope["method"] == "HEAD" else []
        await send({"type": "http.response.start", "status": status, "headers": length})
        body = b"hello" if scope["method"] == "HEAD" else b""
        await send({"type": "http.response.body", "body": body})

    with serving(app) as server, Http2Client(server) as client:
        client.send(headers(1, (*GET[:2], (":path", "/204"), GET[3])))
        assert client.frame(HEADERS, 1).ended
        client.send(headers(3, ((":method", "HEAD"), *GET[1:])))
        found = client.frame(HEADERS, 3)
        assert found.ended
        assert dict(found.fields)["content-length"] == "5"


def test_fields_of_http1_do_not_reach_the_client() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        fields = [(b"Connection", b"close"), (b"Keep-Alive", b"5"), (b"Transfer-Encoding", b"x")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b""})

    with serving(app) as server, Http2Client(server) as client:
        client.send(headers(1))
        assert set(client.head()) == {":status", "date"}


def test_applications_that_fail(log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        if scope["path"] == "/short":
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-length", b"9")],
                }
            )
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await send({"type": "http.response.body", "body": b"y"})
        if scope["path"] == "/shorter":
            length = [(b"content-length", b"9")]
            await send({"type": "http.response.start", "status": 200, "headers": length})
            await send({"type": "http.response.body", "body": b"x"})
        if scope["path"] != "/silent":
            raise ValueError("broken")

    with serving(app) as server, Http2Client(server) as client:
        assert client.get("/early", 1)[0] == "500"
        assert client.get("/silent", 3)[0] == "500"
        for stream, path in ((5, "/late"), (7, "/short")):
            client.send(headers(stream, ((":path", path), *(f for f in GET if f[0] != ":path"))))
            assert client.frame(RST_STREAM, stream).code == INTERNAL_ERROR
        assert client.get("/early", 9)[0] == "500"
        assert client.get("/shorter", 11)[0] == "500"
    assert log.events.count("application_failed") == 5
    assert log.events.count("no_response") == 1


# Flow control ------------------------------------------------------------------------------------


def test_an_upload_waits_for_the_application() -> None:
    reads = threading.Event()
    done = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(None, reads.wait)
        body = await read_all(receive)
        done.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % len(body)})

    with serving(app) as server, Http2Client(server) as client:
        client.settle()
        client.send(headers(1, POST, end=False), *(data(1, bytes(13_107)) for _ in range(5)))
        before = client.settle()
        assert not [each for each in before if each.kind == 8], "windows opened unread"
        reads.set()
        assert client.frame(8, 1).stream == 1
        client.send(*(data(1, bytes(13_107)) for _ in range(4)), data(1, b"end", end=True))
        assert client.peer.response(1)[1] == b"%d" % (9 * 13_107 + 3)
    assert done.is_set()


def test_one_upload_that_waits_leaves_room_for_others() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            await asyncio.sleep(3600)
        await mirror(scope, receive, send)

    with serving(app, drain_timeout=0.0) as server, Http2Client(server) as client:
        client.send(
            headers(1, ((":path", "/wait"), *(f for f in POST if f[0] != ":path")), end=False),
            *(data(1, bytes(13_107)) for _ in range(5)),
            headers(3, POST, end=False),
            data(3, b"through", end=True),
        )
        assert client.peer.response(3) == ("200", b"through")


class Pourer:
    """Sends without end, and counts what was taken from it."""

    def __init__(self) -> None:
        self.sent = 0
        self.ended: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            for _ in range(10_000):
                await send({"type": "http.response.body", "body": bytes(16_000), "more_body": True})
                self.sent += 16_000
        except OSError as error:
            self.ended.append(type(error).__name__)
            raise


def test_a_download_waits_for_the_client() -> None:
    app = Pourer()
    with serving(app, drain_timeout=0.0) as server, Http2Client(server) as client:
        client.send(headers(1))
        got = sum(len(each.payload) for each in client.settle() if each.kind == DATA)
        while got < WINDOW:
            got += len(client.frame(DATA).payload)
        client.settle()
        held = app.sent
        assert held <= WINDOW + 64 * 1024 + 2 * 16_000
        client.open_window(100_000, 0, 1)
        wait_until(lambda: app.sent > held)


def test_a_window_that_stays_closed_is_given_up() -> None:
    app = Pourer()
    with serving(app, idle_timeout=0.3) as server, Http2Client(server, (4, 0)) as client:
        client.send(headers(1))
        assert client.frame(RST_STREAM, 1).code == CANCEL
        wait_until(lambda: app.ended == ["ClientDisconnected"])
        assert client.settle()


def test_a_client_that_never_reads_does_not_fill_the_memory() -> None:
    app = Pourer()
    with serving(app, idle_timeout=1.0) as server:
        client = Http2Client(server, (4, 2**31 - 1), client=server.connect(receive_buffer=4096))
        with client:
            client.open_window(2**31 - 1 - WINDOW, 0)
            client.send(headers(1))
            wait_until(lambda: app.ended == ["ClientDisconnected"])
    assert app.sent < 8 * MIB


def test_a_body_that_stalls() -> None:
    with serving(mirror, body_timeout=0.3) as server, Http2Client(server) as client:
        client.send(headers(1, POST, end=False), data(1, b"half"))
        assert client.head()[":status"] == "408"


def test_a_body_that_nobody_wants() -> None:
    with serving(hello) as server, Http2Client(server) as client:
        client.send(headers(1, POST, end=False))
        assert client.peer.response(1) == ("200", b"hello")
        client.send(*(data(1, bytes(13_107)) for _ in range(4)))
        assert client.frame(RST_STREAM, 1).code == NO_ERROR
        assert client.get("/", 3) == ("200", b"hello")


def test_a_request_that_is_given_up() -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.append("started")
        await receive()
        told.append((await receive())["type"])

    with serving(app) as server, Http2Client(server) as client:
        client.send(headers(1))
        wait_until(lambda: told)
        client.send(rst_stream(1))
        wait_until(lambda: told == ["started", "http.disconnect"])


def test_a_lost_connection_ends_all_its_requests() -> None:
    gone: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        gone.append((await receive())["type"])

    with serving(app) as server:
        with Http2Client(server) as client:
            client.send(headers(1), headers(3))
            client.settle()
        wait_until(lambda: gone == ["http.disconnect"] * 2)


# Limits ------------------------------------------------------------------------------------------


def test_given_up_requests_whose_applications_run_on_are_limited() -> None:
    running = 0
    let_go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal running
        running += 1
        await let_go.wait()
        await hello(scope, receive, send)

    with serving(app, max_streams=10, drain_timeout=0.0) as server, Http2Client(server) as client:
        for stream in range(1, 201, 2):
            client.send(headers(stream), rst_stream(stream))
        wait_until(lambda: running > 10)
        # One read of the socket may hold more than are allowed; what comes later is not read.
        before = running
        client.send(headers(2001))
        assert running == before
        assert running <= 100


def test_a_flood_ends_the_connection() -> None:
    with serving(hello) as server, Http2Client(server) as client:
        client.send(*(headers(n) + rst_stream(n) for n in range(1, 1001, 2)))
        assert client.frame(GOAWAY).code == ENHANCE_YOUR_CALM


def test_a_header_block_without_end() -> None:
    with serving(hello, header_timeout=0.3) as server, Http2Client(server) as client:
        client.send(frame(HEADERS, END_STREAM, 1, block(GET)))
        while client.peer.next() is not None:
            pass
        assert client.peer.closed


def test_a_frame_that_is_never_complete() -> None:
    with serving(mirror, idle_timeout=0.3) as server, Http2Client(server) as client:
        client.send(headers(1, POST, end=False), data(1, bytes(1000))[:500])
        while client.peer.next() is not None:
            pass
        assert client.peer.closed


def test_a_preface_without_settings() -> None:
    with serving(hello, header_timeout=0.3) as server, server.connect() as client:
        client.send(PREFACE)
        client.receive_all()


def test_an_idle_connection() -> None:
    with serving(hello, idle_timeout=0.3) as server, Http2Client(server) as client:
        client.get()
        assert client.frame(GOAWAY).code == NO_ERROR
        while client.peer.next() is not None:
            pass
        assert client.peer.closed


# Which version -----------------------------------------------------------------------------------


def test_the_preface_in_pieces() -> None:
    with serving(hello) as server, server.connect() as client:
        for byte in PREFACE + settings():
            client.send(bytes((byte,)))
        assert client.receive_exactly(9)[3] == SETTINGS


def test_methods_that_begin_like_the_preface() -> None:
    with serving(hello) as server, server.connect() as client:
        for part in (b"P", b"R", b"OPFIND / HTTP/1.1\r\nHost: a\r\n\r\n"):
            client.send(part)
        assert client.response().status == 200
        assert client.request("/", method="PROPFIND").status == 200


def test_switched_off_the_preface_gets_a_clear_answer() -> None:
    with serving(hello, http2=False) as server, server.connect() as client:
        client.send(PREFACE + settings())
        assert client.receive_all().startswith(b"HTTP/1.1 505 ")


def test_an_upgrade_to_h2c_is_ignored() -> None:
    with serving(hello) as server, server.connect() as client:
        fields = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
        answer = client.request("/", *fields)
        assert (answer.status, answer.body) == (200, b"hello")


# Extensions --------------------------------------------------------------------------------------


async def hints(scope: Any, receive: Any, send: Any) -> None:
    assert scope["extensions"]["http.response.early_hint"] == {}
    await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
    await hello(scope, receive, send)


def test_early_hints() -> None:
    with serving(hints) as server:
        with Http2Client(server) as client:
            client.send(headers(1))
            assert client.head() == {":status": "103", "link": "</a.css>; rel=preload"}
            assert client.head()[":status"] == "200"
        with server.connect() as old:
            old.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            interim = old.receive_until(b"\r\n\r\n")
            assert interim == b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n"
            assert old.response().status == 200


async def trailing(scope: Any, receive: Any, send: Any) -> None:
    assert scope["extensions"]["http.response.trailers"] == {}
    await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
    await send({"type": "http.response.body", "body": b"body"})
    more = {"headers": [(b"x-sum", b"1")], "more_trailers": True}
    await send({"type": "http.response.trailers", **more})
    await send({"type": "http.response.trailers", "headers": [(b"x-end", b"2")]})


def test_trailers() -> None:
    with serving(trailing) as server:
        with Http2Client(server) as client:
            client.send(headers(1, (*GET, ("te", "trailers"))))
            assert client.head()[":status"] == "200"
            assert client.frame(DATA).payload == b"body"
            last = client.frame(HEADERS)
            assert last.fields == (("x-sum", "1"), ("x-end", "2"))
            assert last.ended
            # Who does not ask for them gets none.
            assert client.get(stream=3) == ("200", b"body")
        with server.connect() as old:
            assert old.request().body == b"body"
            old.send(b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
            old.receive_until(b"\r\n\r\n")
            assert old.receive_until(b"\r\n\r\n") == (
                b"4\r\nbody\r\n0\r\nx-sum: 1\r\nx-end: 2\r\n\r\n"
            )
            assert old.request().status == 200


def test_push_where_the_client_allows_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/" and "http.response.push" in scope["extensions"]:
            pushed = {"path": "/a.css", "headers": [(b"accept", b"text/css")]}
            await send({"type": "http.response.push", **pushed})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    with serving(app) as server:
        with Http2Client(server) as client:
            client.send(headers(1))
            promise = client.frame(PUSH_PROMISE)
            assert dict(promise.fields)[":path"] == "/a.css"
            assert dict(promise.fields)[":authority"] == "localhost"
            bodies: dict[int, bytes] = {}
            while len(bodies) < 2:
                found = client.frame(DATA)
                bodies[found.stream] = found.payload
            assert bodies == {1: b"/", 2: b"/a.css"}
        with Http2Client(server, (2, 0)) as client:
            client.send(headers(1))
            assert all(each.kind != PUSH_PROMISE for each in client.settle())


@pytest.mark.parametrize("size", [0, 5, 256 * 1024, 700_001])
def test_files(tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    path = tmp_path / "file"
    path.write_bytes(content)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["extensions"]["http.response.pathsend"] == {}
        length = [(b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.pathsend", "path": str(path)})

    with serving(app) as server:
        for http2 in (False, True):
            with httpx.Client(http1=not http2, http2=http2) as client:
                assert client.get(server.url).content == content
                assert client.get(server.url).content == content


def test_files_wait_for_clients_and_survive_those_that_go(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 80_000)
    ends: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await send({"type": "http.response.pathsend", "path": str(path)})
        except OSError as error:
            ends.append(error)
            raise

    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    with serving(app, idle_timeout=2.0) as server:
        with server.connect(receive_buffer=65536) as slow:
            slow.send(request)
            head = slow.receive_until(b"\r\n\r\n")
            assert b"content-length: 20480000\r\n" in head
            assert slow.receive_exactly(20_480_000) == path.read_bytes()
            slow.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + request)
            assert b"content-length: 20480000\r\n" in slow.receive_until(b"\r\n\r\n")
            assert slow.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        wait_until(lambda: len(ends) == 1)
        # One that reads nothing, and does not go either.
        with server.connect(receive_buffer=4096) as stuck:
            stuck.send(request)
            wait_until(lambda: len(ends) == 2)
        with Http2Client(server) as client:
            client.send(headers(1))
            client.head()
        wait_until(lambda: len(ends) == 3)


def test_a_file_that_is_not_there(tmp_path: Path, log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": str(tmp_path / "nothing")})

    with serving(app) as server:
        with server.connect() as old:
            assert old.request().status == 500
        with Http2Client(server) as client:
            assert client.get()[0] == "500"
    assert log.events.count("application_failed") == 2


# Leaving -----------------------------------------------------------------------------------------


def test_a_stop_lets_requests_finish() -> None:
    finish = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await asyncio.get_running_loop().run_in_executor(None, finish.wait)
        await hello(scope, receive, send)

    with serving(app) as server, Http2Client(server) as client:
        slow = ((":path", "/slow"), *(f for f in GET if f[0] != ":path"))
        client.send(headers(1, slow))
        client.settle()
        server.runner.stop()
        notice = client.frame(GOAWAY)
        assert int.from_bytes(notice.payload[:4], "big") == 2**31 - 1
        # A request that was on its way when the notice was sent is served.
        client.send(headers(3))
        assert client.peer.response(3) == ("200", b"hello")
        final = client.frame(GOAWAY)
        assert (int.from_bytes(final.payload[:4], "big"), final.code) == (3, NO_ERROR)
        finish.set()
        assert client.peer.response(1) == ("200", b"hello")
        while client.peer.next() is not None:
            pass
        assert client.peer.closed


def test_a_clients_goaway_ends_the_connection_once_it_is_served() -> None:
    with serving(hello) as server, Http2Client(server) as client:
        client.send(headers(1), frame(GOAWAY, 0, 0, bytes(8)))
        assert client.peer.response(1) == ("200", b"hello")
        while client.peer.next() is not None:
            pass
        assert client.peer.closed


def test_the_access_log(log: CapturedLog) -> None:
    with serving(hello, access_log=True) as server, Http2Client(server) as client:
        client.get("/a?secret=1")
        wait_until(lambda: "request" in log.events)
    record = next(each for each in log.records if getattr(each, "event", "") == "request")
    fields = record.__dict__["fields"]
    assert (fields["path"], fields["status"], fields["bytes"]) == ("/a", 200, 5)
