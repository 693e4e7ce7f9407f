"""Behind a proxy: the PROXY protocol, forwarded headers, and those who only pretend."""

import contextlib
import json
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import pytest
import trustme

from seaway.exceptions import ConfigurationError
from seaway.protocol.events import Headers
from seaway.server.config import ServerConfig
from seaway.server.forwarded import Forwarded
from seaway.server.networks import Networks
from tests.server.applications import respond
from tests.server.harness import TEXT, CapturedLog, serving, wait_until


async def who(scope: Any, receive: Any, send: Any) -> None:
    """Say who the server thinks has asked."""
    said = json.dumps([scope["client"], scope["server"], scope["scheme"]])
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": said})
        return
    await respond(send, said.encode())


LOCAL = ("127.0.0.0/8",)
V1 = b"PROXY TCP4 192.0.2.9 198.51.100.7 56324 443\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def v2(source: str, tlvs: bytes = b"") -> bytes:
    body = socket.inet_aton(source) + socket.inet_aton("198.51.100.7")
    body += struct.pack("!HH", 1000, 443) + tlvs
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(body)) + body


# The PROXY protocol ------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_trusted_proxy_says_who_the_client_is(loop: str) -> None:
    options = {"proxy_protocol": True, "trusted_proxies": LOCAL, "loop": loop}
    with serving(who, **options) as server:
        with server.connect() as client:
            client.send(V1 + GET)
            expected = [["192.0.2.9", 56324], ["198.51.100.7", 443], "http"]
            assert json.loads(client.response().body) == expected
            assert json.loads(client.request().body) == expected
        with server.connect() as client:
            client.send(v2("192.0.2.8", b"\x20\0\x05\x01\0\0\0\0") + GET)
            said = json.loads(client.response().body)
            assert (said[0], said[2]) == (["192.0.2.8", 1000], "https")
        with server.connect() as client:
            client.send(V1)
            client.upgrade()
            assert json.loads(client.frame()[1])[0] == ["192.0.2.9", 56324]


def test_a_header_that_comes_in_pieces(log: CapturedLog) -> None:
    with serving(who, proxy_protocol=True, trusted_proxies=LOCAL) as server:
        with server.connect() as client:
            whole = V1 + GET
            for start in range(0, len(whole), 9):
                client.send(whole[start : start + 9])
            assert json.loads(client.response().body)[0] == ["192.0.2.9", 56324]
        with server.connect() as client:
            client.send(b"PROXY UNKNOWN\r\n" + GET)
            assert json.loads(client.response().body)[0][0] == "127.0.0.1"


@pytest.mark.parametrize("first", [GET, b"PROXY TCP4 1.2.3.4\r\n", b"\r\n\r\n\0\r\nQUIT\n\x51"])
def test_a_trusted_peer_that_owes_a_header_is_cut_off(log: CapturedLog, first: bytes) -> None:
    options = {"proxy_protocol": True, "trusted_proxies": LOCAL}
    with serving(who, **options) as server, server.connect() as client:
        client.send(first)
        with contextlib.suppress(ConnectionResetError):
            assert client.receive_all() == b""
        wait_until(lambda: "proxy_header_missing" in log.events)


def test_a_header_that_never_ends_has_a_time_out(log: CapturedLog) -> None:
    options = {"proxy_protocol": True, "trusted_proxies": LOCAL, "header_timeout": 0.1}
    with serving(who, **options) as server, server.connect() as client:
        client.send(V1[:20])
        with contextlib.suppress(ConnectionResetError):
            assert client.receive_all() == b""
        wait_until(lambda: "proxy_header_missing" in log.events)


def test_from_others_a_header_is_no_request() -> None:
    options = {"proxy_protocol": True, "trusted_proxies": ("10.0.0.0/8",)}
    with serving(who, **options) as server:
        with server.connect() as client:
            client.send(V1 + GET)
            assert b" 501 " in client.receive_until(b"\r\n")
        with server.connect() as client:
            assert json.loads(client.request().body)[0][0] == "127.0.0.1"


def test_the_header_comes_before_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    options = {"proxy_protocol": True, "trusted_proxies": LOCAL}
    serve = serving(who, certfile=str(tmp_path / "both.pem"), **options)
    with serve as server, server.connect() as client:
        client.send(V1)
        client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
        said = json.loads(client.request().body)
        assert (said[0], said[2]) == (["192.0.2.9", 56324], "https")


def test_a_proxy_behind_a_unix_socket(tmp_path: Path) -> None:
    options = {"proxy_protocol": True, "trusted_proxies": ("unix",)}
    serve = serving(who, bind=(f"unix:{tmp_path / 's'}",), **options)
    with serve as server, server.connect() as client:
        client.send(V1 + GET)
        assert json.loads(client.response().body)[0] == ["192.0.2.9", 56324]


# Forwarded headers -------------------------------------------------------------------------------


def resolved(kind: str, *fields: str, peer: str | None = "10.0.0.1") -> tuple[Any, bool]:
    trusted = ("10.0.0.0/8", "2001:db8:1::/48", "unix")
    config = ServerConfig(forwarded=kind, trusted_proxies=trusted)
    headers: Headers = []
    for each in fields:
        name, _, value = each.partition(": ")
        headers.append((name.lower().encode(), value.encode("latin-1")))
    client = None if peer is None else (peer, 4000)
    return Forwarded(config, Networks(trusted)).resolve(headers, client, False)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((), (("10.0.0.1", 4000), False)),
        (("X-Forwarded-For: 192.0.2.1",), (("192.0.2.1", 0), False)),
        (("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"), (("192.0.2.1", 0), True)),
        (("X-Forwarded-For: 192.0.2.1:8000",), (("192.0.2.1", 0), False)),
        (("X-Forwarded-For: [2001:db8::5]:80",), (("2001:db8::5", 0), False)),
        (("X-Forwarded-For: 2001:db8::5",), (("2001:db8::5", 0), False)),
        # What the client has sent itself stands on the left, and is nobody's word.
        (("X-Forwarded-For: 1.1.1.1, 192.0.2.1",), (("192.0.2.1", 0), False)),
        (("X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 192.0.2.1"), (("192.0.2.1", 0), False)),
        (("X-Forwarded-For: 1.1.1.1, 192.0.2.1, 10.9.9.9",), (("192.0.2.1", 0), False)),
        (("X-Forwarded-For: 10.2.2.2, 10.9.9.9",), (("10.2.2.2", 0), False)),
        (("X-Forwarded-For: garbage",), (("10.0.0.1", 4000), False)),
        (("X-Forwarded-For: 192.0.2.1, ",), (("10.0.0.1", 4000), False)),
        (("X-Forwarded-Proto: https",), (("10.0.0.1", 4000), True)),
        (("X-Forwarded-Proto: gopher",), (("10.0.0.1", 4000), False)),
        # A client's own "https" is on the left of the proxy's word.
        (("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https, http"),
         (("192.0.2.1", 0), False)),
        (("Forwarded: for=192.0.2.1",), (("10.0.0.1", 4000), False)),
    ],
)  # fmt: skip
def test_x_forwarded(fields: tuple[str, ...], expected: Any) -> None:
    assert resolved("x-forwarded", *fields) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("Forwarded: for=192.0.2.1;proto=https",), (("192.0.2.1", 0), True)),
        (('Forwarded: For="[2001:db8::5]:4711";Proto=HTTP',), (("2001:db8::5", 0), False)),
        (('Forwarded: for="192.0.2.1:80" ; by=10.0.0.1',), (("192.0.2.1", 0), False)),
        (('Forwarded: for=1.1.1.1, for="192.0.2.1" , for=10.3.3.3;proto=https',),
         (("192.0.2.1", 0), True)),
        (("Forwarded: for=1.1.1.1", "Forwarded: for=192.0.2.1"), (("192.0.2.1", 0), False)),
        (("Forwarded: for=unknown;proto=https",), (("10.0.0.1", 4000), True)),
        (("Forwarded: for=_hidden",), (("10.0.0.1", 4000), False)),
        (('Forwarded: for="1.1.1.1, for=192.0.2.1',), (("10.0.0.1", 4000), False)),
        (('Forwarded: for="a\\"b"',), (("10.0.0.1", 4000), False)),
        (("Forwarded: for=1.1.1.1;for=192.0.2.1",), (("10.0.0.1", 4000), False)),
        (("Forwarded: \x00",), (("10.0.0.1", 4000), False)),
        (("X-Forwarded-For: 192.0.2.1",), (("10.0.0.1", 4000), False)),
    ],
)  # fmt: skip
def test_rfc_7239(fields: tuple[str, ...], expected: Any) -> None:
    assert resolved("forwarded", *fields) == expected


@pytest.mark.parametrize("kind", ["x-forwarded", "forwarded"])
def test_strangers_are_not_believed(kind: str) -> None:
    fields = ("X-Forwarded-For: 10.0.0.5", "X-Forwarded-Proto: https",
              "Forwarded: for=10.0.0.5;proto=https")  # fmt: skip
    assert resolved(kind, *fields, peer="192.0.2.66") == (("192.0.2.66", 4000), False)
    assert resolved(kind, *fields, peer="::ffff:10.0.0.1")[1]
    assert resolved(kind, *fields, peer=None)[1]
    assert resolved(kind, *fields, peer="2001:db8:2::1") == (("2001:db8:2::1", 4000), False)


def test_a_long_list_is_cut() -> None:
    client, _ = resolved("x-forwarded", "X-Forwarded-For: " + "10.1.1.1, " * 5000 + "10.2.2.2")
    assert client == ("10.1.1.1", 0)


def test_what_the_application_sees(log: CapturedLog) -> None:
    headers = ("X-Forwarded-For: 1.1.1.1, 192.0.2.1", "X-Forwarded-Proto: https")
    options = {"forwarded": "x-forwarded", "trusted_proxies": LOCAL, "access_log": True}
    with serving(who, **options) as server, server.connect() as client:
        said = json.loads(client.request("/", *headers).body)
        assert (said[0], said[2]) == (["192.0.2.1", 0], "https")
        client.upgrade("/", *headers)
        opcode, text = client.frame()
        assert (opcode, json.loads(text)[2]) == (TEXT, "wss")
    wait_until(lambda: "websocket" in log.events)
    assert [record.__dict__["fields"]["client"] for record in log.records] == ["192.0.2.1"] * 2


def test_off_by_default() -> None:
    with serving(who) as server, server.connect() as client:
        said = json.loads(
            client.request("/", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https").body
        )
        assert (said[0][0], said[2]) == ("127.0.0.1", "http")
        client.send(V1)
        assert b" 501 " in client.receive_until(b"\r\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"proxy_protocol": True}, "proxy_protocol needs trusted_proxies"),
        ({"forwarded": "forwarded"}, "forwarded needs trusted_proxies"),
        ({"trusted_proxies": "10.0.0.0/8"}, "needs a list"),
    ],
)
def test_wrong_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ServerConfig(**options)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.example", "10.0.0.0/33", ""])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a network"):
        Networks([text])
