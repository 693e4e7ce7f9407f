"""HTTP/2 through plain ASGI applications: the same cycle as over HTTP/1.1, many at once."""

import asyncio
import threading
from typing import Any

import httpx
from compliance.http2_frames import (
    DATA,
    GET,
    GOAWAY,
    HEADERS,
    INTERNAL_ERROR,
    NO_ERROR,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    frame,
    headers,
    settings,
)

from tests.server.applications import hello, mirror
from tests.server.harness import CapturedLog, serving, wait_until
from tests.server.http2_client import Http2Client

MIB = 1024 * 1024


WINDOW = 65_535


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
