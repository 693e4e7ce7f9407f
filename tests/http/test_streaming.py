"""Streaming responses and files: in order, in the right thread, at the client's pace, closed."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from seaway import pool
from seaway.http import get_http_application
from seaway.http.response import PATHSEND, ZEROCOPYSEND
from tests.http import views
from tests.http.conftest import Site
from tests.server.harness import CapturedLog, Client, wait_until

#: A client that reads nothing, and takes little unread.
SMALL = 4096


def ask(client: Client, path: str) -> None:
    client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def the_parts() -> views.Parts:
    found: views.Parts = wait_until(lambda: views.seen and views.seen[0])
    return found


def stands_still(parts: views.Parts) -> int:
    """Wait until no more parts are made: how many there are."""
    looks = [0] * 30

    def still() -> bool:
        looks.append(parts.made)
        return looks[-1] > 0 and looks[-1] == looks[-30]

    wait_until(still)
    return parts.made


def test_a_synchronous_iterator_is_read_and_closed_in_the_views_thread(site: Site) -> None:
    with site(threads=2) as server, server.connect() as client:
        assert client.request("/stream/").body == b"0 True\n1 True\n2 True\n"
        wait_until(lambda: views.seen)
        assert client.request("/hello/").body == b"Hello, world!"
    (closed,) = views.seen
    assert closed[0] == "closed"
    assert closed[1].startswith("seaway-sync")


@pytest.mark.parametrize("path", ["/endless/", "/async/sync-parts/"])
def test_a_slow_client_holds_the_iterator_back(site: Site, path: str) -> None:
    with site() as server:
        with server.connect(receive_buffer=SMALL) as client:
            ask(client, path)
            parts = the_parts()
            assert stands_still(parts) * 65536 < views.MUCH / 2
        wait_until(lambda: len(views.seen) == 2)
        assert views.seen[1][0] == "closed"


def test_slow_clients_leave_the_pool_to_others(site: Site) -> None:
    with site(threads=1, held=3) as server:
        slow = [server.connect(receive_buffer=SMALL) for _ in range(3)]
        for client in slow:
            ask(client, "/endless/")
        with server.connect() as client:
            assert client.request("/hello/").status == 200
        assert pool.threads().away == 3
        for client in slow:
            client.socket.close()
        wait_until(lambda: pool.threads().away == 0)
        with server.connect() as client:
            assert client.request("/hello/").status == 200
        assert pool.threads().present == 1


def test_over_the_bound_slow_clients_keep_their_place(site: Site) -> None:
    with site(threads=1, held=1) as server:
        slow = [server.connect(receive_buffer=SMALL) for _ in range(2)]
        for client in slow:
            ask(client, "/endless/")
        wait_until(lambda: len(views.seen) == 2)
        with server.connect() as client:
            ask(client, "/hello/")
            client.socket.settimeout(0.5)
            with pytest.raises(TimeoutError):
                client.socket.recv(1)
            client.socket.settimeout(30)
            slow[0].socket.close()
            assert client.response().status == 200
        slow[1].socket.close()


def test_an_iterator_that_waits_leaves_the_pool_to_others(site: Site) -> None:
    views.go_on.clear()
    with site(threads=1) as server, server.connect() as late, server.connect() as client:
        ask(late, "/late/")
        assert client.request("/hello/").status == 200
        views.go_on.set()
        assert late.response().body == b"late"


def test_the_head_does_not_wait_long_for_the_first_part(site: Site) -> None:
    views.go_on.clear()
    with site() as server, server.connect() as client:
        ask(client, "/late/")
        assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        views.go_on.set()
        assert client.receive_until(b"0\r\n\r\n") == b"4\r\nlate\r\n0\r\n\r\n"


@pytest.mark.parametrize("prefix", ["/", "/async/"])
def test_an_error_before_the_first_part_is_a_500(site: Site, log: CapturedLog, prefix: str) -> None:
    with site() as server, server.connect() as client:
        assert client.request(f"{prefix}fails-first/").status == 500
    assert "application_failed" in log.events


@pytest.mark.parametrize("prefix", ["/", "/async/"])
def test_an_error_later_cuts_the_response_off(site: Site, log: CapturedLog, prefix: str) -> None:
    with site() as server:
        with server.connect() as client:
            ask(client, f"{prefix}fails-later/")
            try:
                received = client.receive_all()
            except ConnectionResetError:
                received = client.received
            assert not received.endswith(b"0\r\n\r\n")
        with server.connect() as client:
            assert client.request("/hello/").status == 200
    assert "application_failed" in log.events


@pytest.mark.parametrize("path", ["/async-parts/", "/async/stream/"])
def test_an_asynchronous_iterator_is_read_on_the_loop(site: Site, path: str) -> None:
    with site() as server, server.connect() as client:
        assert client.request(path).body == b"0\n1\n2\n"
        assert client.request("/hello/").status == 200


def test_a_waiting_iterator_is_closed_once_its_client_has_gone(site: Site) -> None:
    """A thread cannot be cancelled: it stops at the next part."""
    views.go_on.clear()
    with site() as server:
        with server.connect() as client:
            ask(client, "/late/?endless")
            client.receive_until(b"\r\n\r\n")
        views.go_on.set()
        wait_until(lambda: "closed" in views.seen)


def test_a_synchronous_iterator_of_an_asynchronous_view_comes_whole(site: Site) -> None:
    with site() as server, server.connect() as client:
        assert len(client.request("/async/sync-parts/").body) == views.MUCH
        parts = the_parts()
        assert parts.made == views.MUCH // 65536
        wait_until(lambda: len(views.seen) == 2)


@pytest.mark.parametrize("path", ["/async/events/", "/events/"])
def test_an_event_stream_ends_when_its_client_goes(site: Site, path: str) -> None:
    with site() as server:
        with server.connect() as client:
            ask(client, path)
            assert client.receive_until(b"first\n\n\r\n")
        wait_until(lambda: "closed" in views.seen)
    assert views.seen == ["cancelled", "closed"]


@pytest.mark.parametrize("path", ["/file/", "/async/file/"])
def test_a_file_is_sent_and_closed(site: Site, tmp_path: Path, path: str) -> None:
    found = tmp_path / "data.bin"
    found.write_bytes(bytes(range(256)) * 4000)
    with site() as server, server.connect() as client:
        response = client.request(f"{path}?path={found}")
        assert response.body == found.read_bytes()
        assert response.headers["content-length"] == str(256 * 4000)
        wait_until(lambda: views.seen[0].closed)
        assert client.request("/hello/").status == 200


async def exchange(path: str, query: str, extensions: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask the application as a server would that has these extensions; what it sent."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"testserver")],
        "extensions": extensions,
    }
    sent: list[dict[str, Any]] = []
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        # The descriptor or the name has to stand for something until the server is done.
        if message["type"] == ZEROCOPYSEND:
            assert not views.seen[0].closed
            assert message["file"] == views.seen[0].fileno()
        sent.append(message)

    with override_settings(ROOT_URLCONF="tests.http.urls", MIDDLEWARE=[]):
        await get_http_application()(scope, receive, send)
    return sent


@pytest.mark.parametrize("path", ["/file/", "/async/file/"])
@pytest.mark.parametrize("extension", [PATHSEND, ZEROCOPYSEND])
async def test_a_server_that_can_sends_the_file_itself(
    site: Site, tmp_path: Path, path: str, extension: str
) -> None:
    found = tmp_path / "data.bin"
    found.write_bytes(b"0123456789")
    start, message = await exchange(path, f"path={found}", {extension: {}})
    assert (b"Content-Length", b"10") in start["headers"]
    assert message["type"] == extension
    if extension == PATHSEND:
        assert message == {"type": PATHSEND, "path": str(found)}
    else:
        assert (message["offset"], message["count"]) == (0, 10)
    deadline = asyncio.get_running_loop().time() + 30
    while not views.seen[0].closed:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)


async def test_without_the_extension_the_file_is_read(site: Site, tmp_path: Path) -> None:
    found = tmp_path / "data.bin"
    found.write_bytes(b"0123456789")
    sent = await exchange("/file/", f"path={found}", {})
    assert [message["type"] for message in sent[1:]] == ["http.response.body"] * (len(sent) - 1)
    assert b"".join(message.get("body", b"") for message in sent[1:]) == b"0123456789"


def test_a_client_that_resets_frees_everything(site: Site) -> None:
    with site(threads=1) as server:
        client = server.connect(receive_buffer=SMALL)
        ask(client, "/endless/")
        the_parts()
        # Zero seconds of lingering: close() sends a reset.
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()
        wait_until(lambda: len(views.seen) == 2)
        with server.connect() as other:
            assert other.request("/hello/").status == 200
