"""HTTP/1.1 requests to speak another protocol, in bytes (RFC 9110 section 7.8)."""

from __future__ import annotations

import pytest

from seaway.exceptions import ResponseError
from seaway.protocol.events import (
    DataReceived,
    RequestEnded,
    RequestReceived,
    ResponseStarted,
    ViolationReceived,
)
from seaway.protocol.http1 import Http1Connection, HttpLimits

from .http1_talk import GET, UPGRADE, answer, joined, only, request


def switch(connection: Http1Connection) -> bytes:
    headers = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
    return connection.send(ResponseStarted(connection.answering, 101, headers))


def test_an_upgrade_hands_over_what_follows_rfc9110_7_8() -> None:
    connection = Http1Connection()
    event = only(connection, UPGRADE + b"\x81\x80")
    assert (event.upgrade, event.ended) == ("websocket", True)
    assert connection.receive(b"mask") == []
    assert switch(connection) == (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n"
    )
    assert connection.upgrade() == b"\x81\x80mask"
    assert not connection.keep_alive
    assert connection.receive(b"more") == [DataReceived(1, b"more")]
    assert connection.receive(b"") == []
    assert connection.receive_eof() == []


def test_an_upgrade_needs_101_first() -> None:
    connection = Http1Connection()
    connection.receive(UPGRADE)
    with pytest.raises(ResponseError, match="not answered with 101"):
        connection.upgrade()


@pytest.mark.parametrize("split", [False, True])
def test_an_upgrade_that_is_not_taken_is_a_plain_request_rfc9110_7_8(split: bool) -> None:
    connection = Http1Connection()
    if split:
        only(connection, UPGRADE)
        assert connection.receive(GET) == []
    else:
        only(connection, UPGRADE + GET)
    assert not connection.resumable
    answer(connection)
    assert connection.keep_alive
    assert connection.resumable
    assert not connection.idle
    assert only(connection, b"").stream == 2
    assert not connection.resumable


def test_an_upgrade_behind_another_request_waits_for_its_own_answer() -> None:
    connection = Http1Connection()
    connection.receive(GET + UPGRADE + GET)
    answer(connection)
    assert not connection.resumable
    answer(connection)
    assert connection.resumable


def test_a_closing_upgrade_request_has_nothing_behind_it() -> None:
    connection = Http1Connection()
    only(connection, UPGRADE.replace(b"Upgrade\r\n", b"upgrade, close\r\n", 1) + GET)
    answer(connection)
    assert not connection.keep_alive
    assert connection.receive(b"") == []


@pytest.mark.parametrize(
    ("lines", "upgrade"),
    [
        ((b"Upgrade: websocket",), ""),
        ((b"Connection: upgrade",), ""),
        ((b"Connection: upgrade", b"Upgrade: "), ""),
        ((b"Connection: upgrade", b"Upgrade: foo/1, WebSocket"), "websocket"),
        ((b"Connection: x", b"Connection: upgrade", b"Upgrade: h2c"), "h2c"),
    ],
)
def test_upgrade_needs_both_headers_rfc9110_7_8(lines: tuple[bytes, ...], upgrade: str) -> None:
    assert only(Http1Connection(), request(*lines)).upgrade == upgrade


def test_upgrade_is_void_in_http_1_0_rfc9110_7_8() -> None:
    lines = (b"Connection: upgrade, keep-alive", b"Upgrade: websocket")
    data = request(*lines, version=b"HTTP/1.0")
    first, second = Http1Connection().receive(data + GET)
    assert isinstance(first, RequestReceived)
    assert first.upgrade == ""
    assert isinstance(second, RequestReceived)


@pytest.mark.parametrize("target", [b"/", b"/" + b"a" * 16383])
@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 3", b"abc"), (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n")],
)
def test_an_upgrade_request_with_a_body_is_a_plain_one(
    framing: bytes, body: bytes, target: bytes
) -> None:
    head = UPGRADE[:-2].replace(b"/ws", target) + framing + b"\r\n\r\n"
    events = joined(Http1Connection().receive((head + body) * 2))
    for stream, (first, *rest) in enumerate((events[:3], events[3:]), start=1):
        assert isinstance(first, RequestReceived)
        assert (first.upgrade, first.ended) == ("", False)
        assert rest == [DataReceived(stream, b"abc"), RequestEnded(stream)]


def test_a_body_cannot_be_smuggled_behind_an_upgrade() -> None:
    head = UPGRADE[:-2] + b"Content-Length: %d\r\n\r\n" % len(GET)
    events = Http1Connection().receive(head + GET)
    assert [type(event) for event in events] == [RequestReceived, DataReceived, RequestEnded]


def test_too_much_behind_an_upgrade_is_refused() -> None:
    connection = Http1Connection(HttpLimits(header_bytes=200))
    only(connection, UPGRADE)
    assert connection.receive(b"x" * 200) == []
    (violation,) = connection.receive(b"x")
    assert isinstance(violation, ViolationReceived)
    assert connection.answers_owed == 1
