"""HTTP/1.1 requests, in bytes: what is read, what is refused, and how much (RFC 9110, RFC 9112)."""

from __future__ import annotations

import pytest

from seaway.exceptions import ResponseError
from seaway.protocol.events import (
    DataReceived,
    Event,
    RequestEnded,
    RequestReceived,
    ResponseData,
    ResponseStarted,
    ViolationReceived,
)
from seaway.protocol.http1 import Http1Connection, HttpLimits

from .http1_talk import CHUNKED, GET, answer, joined, only, refused, request

# Requests ----------------------------------------------------------------------------------------


def test_a_request_without_a_body_is_one_event() -> None:
    connection = Http1Connection()
    event = only(connection, b"GET /a?b=c HTTP/1.1\r\nHost: example.com:80\r\nX-Y:  z \t\r\n\r\n")
    assert event == RequestReceived(
        stream=1,
        method="GET",
        target=b"/a?b=c",
        headers=[(b"host", b"example.com:80"), (b"x-y", b"z")],
        version="1.1",
        ended=True,
    )


def test_a_body_arrives_in_parts_as_it_comes_rfc9112_6_2() -> None:
    connection = Http1Connection()
    head = only(connection, request(b"Content-Length: 5", method=b"POST"))
    assert not head.ended
    assert connection.receive(b"he") == [DataReceived(1, b"he")]
    assert connection.receive(b"llo") == [DataReceived(1, b"llo"), RequestEnded(1)]


def test_chunks_are_decoded_and_trailers_dropped_rfc9112_7_1() -> None:
    body = b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\nHost: other\r\n\r\n"
    _, *rest = joined(Http1Connection().receive(CHUNKED + body))
    assert rest == [DataReceived(1, b"abcde"), RequestEnded(1)]


@pytest.mark.parametrize("length", [b"0", b"000", b"0" * 5000])
def test_a_content_length_of_nothing_is_no_body_rfc9112_6_3(length: bytes) -> None:
    assert only(Http1Connection(), request(b"Content-Length: " + length)).ended


def test_pipelined_requests_are_answered_in_order_rfc9112_9_3_2() -> None:
    connection = Http1Connection()
    first, second = connection.receive(GET + GET)
    assert isinstance(first, RequestReceived)
    assert isinstance(second, RequestReceived)
    assert (first.stream, second.stream, connection.answers_owed) == (1, 2, 2)
    with pytest.raises(ResponseError, match="response to request 2 before request 1"):
        connection.send(ResponseStarted(2, 200, []))
    assert answer(connection, b"one").endswith(b"one")
    assert answer(connection, b"two").endswith(b"two")
    assert connection.idle
    with pytest.raises(ResponseError, match="nobody asked for"):
        answer(connection)


def test_good_requests_before_bad_bytes_are_delivered() -> None:
    connection = Http1Connection()
    first, violation = connection.receive(GET + b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(first, RequestReceived)
    assert violation == ViolationReceived(400, "no Host header")
    answer(connection)
    assert connection.keep_alive
    assert connection.answering == 2
    assert b"\r\nconnection: close\r\n" in connection.send(ResponseStarted(2, 400, []))
    assert not connection.keep_alive


@pytest.mark.parametrize(
    "line", [b"\n", b"\r", b"\r\r\n", b"\r\n\n", b"\n\r\n"], ids=lambda line: line.hex()
)
@pytest.mark.parametrize(
    "before",
    [b"", GET, request(b"Content-Length: 4", method=b"POST") + b"ab\r\r", CHUNKED + b"0\r\n\r\n"],
)
def test_other_lines_before_a_request_are_refused_rfc9112_2_2(line: bytes, before: bytes) -> None:
    data = before + line + GET
    assert refused(data) == 400
    # And so they are however the bytes arrive.
    connection = Http1Connection()
    events = [event for byte in data for event in connection.receive(bytes((byte,)))]
    assert isinstance(events[-1], ViolationReceived)
    assert sum(isinstance(event, RequestReceived) for event in events) == (1 if before else 0)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_each_request_line_is_looked_at(size: int) -> None:
    """Behind heads and both kinds of bodies, in whatever pieces they come."""
    counted = request(b"Content-Length: 8", method=b"POST") + b"\r\n\r\n\r\n\r\n"
    chunks = CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\nX: y\r\n\r\n"
    for before in (GET, counted, chunks, GET + chunks + counted + b"\r\n"):
        for last in (GET, GET.replace(b" /", b"  /"), GET.replace(b"HTTP/1.1", b"RTSP/1.0")):
            data = before + last
            connection = Http1Connection()
            events: list[Event] = []
            for start in range(0, len(data), size):
                events += connection.receive(data[start : start + size])
            assert isinstance(events[-1], ViolationReceived) == (last is not GET), (before, last)


def test_head_and_body_in_one_step() -> None:
    connection = Http1Connection()
    connection.receive(GET + GET)
    with pytest.raises(ResponseError, match="response to request 2 before request 1"):
        connection.answer(2, 200, [], b"", True)
    head, body = connection.answer(1, 200, [(b"content-length", b"2")], b"hi", True)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b"hi"
    with pytest.raises(ResponseError, match="101"):
        connection.answer(2, 101, [], b"", True)
    head, body = connection.answer(2, 200, [(b"connection", b"close")], b"hi", False)
    assert connection.answers_owed == 1
    assert not connection.keep_alive
    connection.send(ResponseData(2, b"", ended=True))
    with pytest.raises(ResponseError, match="nobody asked for"):
        connection.answer(2, 200, [], b"", True)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("persistence", [b"keep-alive", b"close"])
def test_proxy_connection_says_nothing_of_the_version(version: str, persistence: bytes) -> None:
    connection = Http1Connection()
    line = b"GET / HTTP/%b\r\n" % version.encode()
    (event,) = connection.receive(line + b"Host: a\r\nProxy-Connection: %b\r\n\r\n" % persistence)
    assert isinstance(event, RequestReceived)
    assert event.version == version
    head, _ = connection.answer(1, 200, [], b"", True)
    assert (b"connection: close" in head) is (version == "1.0")


def test_nothing_of_a_primed_body_is_left_for_the_next_request() -> None:
    connection = Http1Connection()
    upgrade = b"POST /one HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n"
    events = connection.receive(
        upgrade + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: 1\r\n\r\n"
        b"GET /two HTTP/1.1\r\nHost: b\r\n\r\n"
    )
    first, *_, last = events
    assert isinstance(first, RequestReceived)
    assert isinstance(last, RequestReceived)
    assert (last.target, last.headers) == (b"/two", [(b"host", b"b")])


def test_empty_lines_before_a_request_are_skipped_rfc9112_2_2() -> None:
    assert only(Http1Connection(), b"\r\n\r\n" + GET).target == b"/"


@pytest.mark.parametrize(
    ("method", "target", "host"),
    [
        (b"OPTIONS", b"*", b"a"),
        (b"GET", b"http://b.example:8080/x?y", b"b.example:8080"),
        (b"GET", b"HTTPS://b", b"b"),
    ],
)
def test_forms_of_a_target_rfc9112_3_2(method: bytes, target: bytes, host: bytes) -> None:
    event = only(Http1Connection(), method + b" " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert event.target == target
    assert event.headers == [(b"host", host)]


@pytest.mark.parametrize(
    "target",
    [b"/a#b", b"*", b"http://", b"http://u@a/", b"ftp://a/", b"http://a b/", b"/\xff", b"a"],
)
def test_targets_that_are_refused_rfc9112_3_2(target: bytes) -> None:
    assert refused(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n") == 400


@pytest.mark.parametrize("host", [b"a", b"a.b-c_d:8000", b"[::1]:80", b"127.0.0.1", b"a:"])
def test_hosts_rfc9110_7_2(host: bytes) -> None:
    event = only(Http1Connection(), b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert event.headers == [(b"host", host)]


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"Host: a\r\nHost: a\r\n",
        b"Host:\r\n",
        b"Host: a b\r\n",
        b"Host: a/b\r\n",
        b"Host: a, b\r\n",
        b"Host: u@a\r\n",
        b"Host: a:x\r\n",
        b"Host: a:123456\r\n",
        b"Host: [::1\r\n",
    ],
)
def test_host_is_exactly_one_and_valid_rfc9112_3_2(lines: bytes) -> None:
    assert refused(b"GET / HTTP/1.1\r\n" + lines + b"\r\n") == 400


def test_http_1_0_needs_no_host_rfc9112_3_2() -> None:
    event = only(Http1Connection(), b"GET / HTTP/1.0\r\n\r\n")
    assert (event.version, event.headers) == ("1.0", [])


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),  # bare LF, RFC 9112 section 2.2
        (request(b"X: a\r\n b"), 400),  # obs-fold, section 5.2
        (request(b"X : a"), 400),  # section 5.1
        (request(b": a"), 400),
        (request(b"X: a\0b"), 400),
        (request(b"X: a\x01b"), 400),
        (request(b"X: a\rb"), 400),
        (request(b"X: a\nb: c"), 400),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"\x16\x03\x01\x02\x00", 400),  # TLS on a plain port
        (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / RTSP/1.0\r\nHost: a\r\n\r\n", 400),
        (b"SOURCE / ICE/1.0\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        (request(version=b"HTTP/2.0"), 505),
        (request(version=b"HTTP/1.2"), 505),
        (request(version=b"HTTP/0.9"), 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n", 505),
        (request(b"Expect: 200-ok", b"Content-Length: 1"), 417),
        (request(b"Expect: 200-ok"), 417),
    ],
)
def test_bad_heads_are_refused(data: bytes, status: int) -> None:
    assert refused(data) == status


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"Content-Length: 3\r\nContent-Length: 3", 400),
        (b"Content-Length: 3\r\nContent-Length: 4", 400),
        (b"Content-Length: 3, 3", 400),
        (b"Content-Length: +3", 400),
        (b"Content-Length: 0x3", 400),
        (b"Content-Length: -3", 400),
        (b"Content-Length:", 400),
        (b"Content-Length: 99999999999999999999", 400),
        (b"Content-Length: 3\r\nTransfer-Encoding: chunked", 400),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3", 400),
        (b"Transfer-Encoding: gzip", 400),
        (b"Transfer-Encoding: xchunked", 400),
        (b"Transfer-Encoding: chunked, gzip", 400),
        (b"Transfer-Encoding: chunked, chunked", 400),
        (b"Transfer-Encoding: gzip, chunked", 501),
        (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501),
    ],
)
def test_ambiguous_framing_is_refused_rfc9112_6_3(lines: bytes, status: int) -> None:
    assert refused(request(lines, method=b"POST") + b"3\r\nabc\r\n0\r\n\r\n") == status


def test_http_1_0_has_no_transfer_encoding_rfc9112_6_1() -> None:
    data = request(b"Transfer-Encoding: chunked", method=b"POST", version=b"HTTP/1.0")
    assert refused(data) == 400


@pytest.mark.parametrize(
    "chunk",
    [b"3\nabc\r\n", b"3 \r\nabc\r\n", b"-1\r\n", b"f" * 17 + b"\r\n", b"3\r\nabcX", b"\r\n"],
)
def test_bad_chunks_are_refused_rfc9112_7_1(chunk: bytes) -> None:
    connection = Http1Connection()
    only(connection, CHUNKED)
    *_, last = connection.receive(chunk)
    assert isinstance(last, ViolationReceived)
    assert last.status == 400
    # The request's own answer is the answer to the violation.
    assert (connection.answers_owed, connection.answering) == (1, 1)
    assert b"connection: close" in connection.send(ResponseStarted(1, 400, []))


# Limits ------------------------------------------------------------------------------------------

LIMITS = HttpLimits(header_bytes=200, header_count=4, target_bytes=50)


def test_within_the_limits() -> None:
    connection = Http1Connection(LIMITS)
    for _ in range(3):  # they hold for each request, not for all together
        event = only(
            connection, b"GET /%b HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"a" * 49, b"b" * 99)
        )
        assert event.ended


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 60, 414),
        (request(b"X: " + b"a" * 300), 431),
        (request(b"X: " + b"a" * 90, b"Y: " + b"a" * 91), 431),
        (request(*[b"X: 1"] * 5), 431),
        (CHUNKED + b"3;" + b"x" * 500, 431),
        (CHUNKED + b"0\r\nTrailer: " + b"x" * 500 + b"\r\n\r\n", 431),
        (b"\r\n" * 300, 431),
    ],
)
def test_over_the_limits(data: bytes, status: int, step: int) -> None:
    connection = Http1Connection(LIMITS)
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    # The last piece is for the data that is over the limit only if it goes on.
    events = [event for piece in [*pieces, b"x" * 300] for event in connection.receive(piece)]
    assert isinstance(events[-1], ViolationReceived)
    assert events[-1].status == status


def test_pipelining_has_a_limit() -> None:
    connection = Http1Connection(HttpLimits(unanswered=2))
    assert len(connection.receive(GET * 2)) == 2
    answer(connection)
    assert len(connection.receive(GET)) == 1
    (violation,) = connection.receive(GET)
    assert isinstance(violation, ViolationReceived)
    assert violation.status == 429
    # What was taken before is answered first.
    assert [answer(connection)[:12] for _ in range(2)] == [b"HTTP/1.1 200"] * 2
    assert connection.answering == 4
