"""Extensions of ASGI over HTTP/2: early hints, trailers, push, and files by their path."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from compliance.http2_frames import DATA, GET, HEADERS, PUSH_PROMISE, headers

from tests.server.applications import hello
from tests.server.harness import CapturedLog, serving, wait_until
from tests.server.http2_client import Http2Client

MIB = 1024 * 1024


WINDOW = 65_535


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
