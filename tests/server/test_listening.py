"""Where a server can listen: TLS, Unix sockets, IPv6; and what it says at start."""

import asyncio
import contextlib
import os
import socket
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.asyncio.client import connect
from websockets.sync.client import unix_connect

from seaway.exceptions import ConfigurationError
from seaway.server.addresses import bind, close_all, url
from seaway.server.application import hints
from seaway.server.config import ServerConfig
from tests.server.applications import echo
from tests.server.harness import CapturedLog, refuses, serving, wait_until


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    return {"certfile": str(tmp_path / "both.pem")}


async def echoed(address: str, context: ssl.SSLContext) -> str | bytes:
    """What comes back over TLS. Not by the client with threads: before Python 3.13 an SSL object
    breaks when one thread reads while another writes."""
    async with connect(address, ssl=context) as websocket:
        await websocket.send("x" * 300_000)
        return await websocket.recv()


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_tls(authority: trustme.CA, certificate: dict[str, str], loop: str) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serving(echo, loop=loop, **certificate) as server:
        assert server.url.startswith("https://")
        with server.connect(tls=context) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
            client.send(bytes(200_000))
            assert len(client.response().body) == 200_002
            assert client.request("/again").body == b"/again:"
        address = server.websocket_url.replace("127.0.0.1", "localhost")
        assert asyncio.run(echoed(address, context)) == "x" * 300_000
        with server.connect() as plain:
            plain.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert plain.receive_all().startswith(b"HTTP/1.1 400 ")


def test_an_idle_client_does_not_hold_up_the_end_of_tls(
    authority: trustme.CA, certificate: dict[str, str], log: CapturedLog
) -> None:
    """It does not read, so it does not answer the end of TLS with its own."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serving(echo, drain_timeout=10.0, **certificate) as server:
        client = server.connect(tls=context)
        assert client.request("/again").body == b"/again:"
    client.socket.close()
    assert "drain_timeout" not in log.events


def test_tls_ends_behind_all_that_is_unsent(
    authority: trustme.CA, certificate: dict[str, str]
) -> None:
    size = 8 * 1024 * 1024
    connections: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        connections.append(send.__self__._connection)
        close = (b"connection", b"close")
        await send({"type": "http.response.start", "status": 200, "headers": [close]})
        # The first part fills what lies below TLS, the second waits above.
        await send({"type": "http.response.body", "body": bytes(size), "more_body": True})
        await send({"type": "http.response.body", "body": bytes(size)})

    context = ssl.create_default_context()
    authority.configure_trust(context)
    with (
        serving(app, **certificate) as server,
        server.connect(tls=context) as client,
    ):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: connections and connections[0].closing)
        assert not connections[0].transport.is_closing()
        assert len(client.receive_all()) > 2 * size


def test_a_certificate_that_does_not_load_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("not a certificate")
    wrong = pytest.raises(ConfigurationError, match="certificate does not load")
    with wrong, serving(echo, certfile=str(tmp_path / "bad.pem")):
        pass


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_unix_socket(tmp_path: Path, loop: str) -> None:
    path = tmp_path / "s"
    with serving(echo, bind=(f"unix:{path}",), loop=loop) as server:
        with server.connect() as client:
            assert client.request("/unix").body == b"/unix:"
        with unix_connect(str(path)) as websocket:
            websocket.send("hello")
            assert websocket.recv() == "hello"
        with pytest.raises(ConfigurationError, match="another server answers on it"):
            bind(f"unix:{path}")
    assert not path.exists()


def test_a_stale_unix_socket_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with serving(echo, bind=(f"unix:{path}",)) as server, server.connect() as client:
        assert client.request().status == 200
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="a file is in the way"):
        bind(f"unix:{path}")
    assert path.read_text() == "precious"


def test_several_addresses_ipv6_among_them(tmp_path: Path) -> None:
    try:
        close_all([bind("[::1]:0")])
    except ConfigurationError:
        pytest.skip("no IPv6 here")
    addresses = ("127.0.0.1:0", "[::1]:0", f"unix:{tmp_path / 's'}")
    with serving(echo, bind=addresses) as server:
        urls = server.announcement.urls
        assert [each.rpartition(":")[0] for each in urls] == [
            "http://127.0.0.1",
            "http://[::1]",
            "unix",
        ]


def test_one_bad_address_leaves_none_bound(tmp_path: Path) -> None:
    path = tmp_path / "s"
    wrong = pytest.raises(ConfigurationError, match="Cannot listen on")
    with wrong, serving(echo, bind=(f"unix:{path}", f"unix:{tmp_path}/no/folder")):
        pass
    assert not path.exists()


def test_a_privileged_port_is_one_line(as_nobody: None) -> None:
    with pytest.raises(ConfigurationError, match="Permission denied"):
        bind("127.0.0.1:1")


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Without root's rights, where the tests run as root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_urls() -> None:
    sock = bind("localhost:0")
    try:
        port = sock.getsockname()[1]
        assert url(sock, tls=True) == f"https://127.0.0.1:{port}"
    finally:
        sock.close()


def test_djangos_own_application_gets_a_hint() -> None:
    from django.core.handlers.asgi import ASGIHandler

    assert "seaway.asgi.get_asgi_application" in hints(ASGIHandler())[1]
    assert hints(echo) == []


def test_the_mode_of_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with serving(echo, bind=(f"unix:{path}",), unix_mode="620") as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o620
        with server.connect() as client:
            assert client.request().status == 200


@pytest.mark.parametrize("mode", ["rw", "8", "1777", "6600"])
def test_a_mode_is_octal(mode: str) -> None:
    with pytest.raises(ConfigurationError, match="unix_mode"):
        ServerConfig(unix_mode=mode)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_tls_handshake_that_stalls_is_cut_off(certificate: dict[str, str], loop: str) -> None:
    serve = serving(echo, loop=loop, header_timeout=0.2, **certificate)
    with serve as server, server.connect() as client:
        client.send(b"\x16\x03\x01")
        with contextlib.suppress(ConnectionResetError):
            assert client.receive_all() == b""


def test_a_stop_waits_for_a_handshake_that_has_begun(
    authority: trustme.CA, certificate: dict[str, str]
) -> None:
    """The connection was accepted: it gets its answer."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serving(echo, **certificate) as server, server.connect() as client:
        with server.connect(tls=context) as later:
            # Accepted in their order: so the first one has been, too.
            assert later.request().status == 200
        server.runner.stop()
        wait_until(lambda: refuses(server.connect), "the drain")
        client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
        response = client.request("/late")
        assert response.body == b"/late:"
        assert response.headers["connection"] == "close"
