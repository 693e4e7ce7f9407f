"""HTTP/1.1 requests and connections, in bytes (RFC 9110, RFC 9112)."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Iterable

import httptools
import pytest
from compliance.fuzz_http1 import check, mutate
from hypothesis import given
from hypothesis import strategies as st

from seaway.exceptions import ResponseError
from seaway.protocol.events import (
    DataReceived,
    Event,
    InterimResponse,
    RequestEnded,
    RequestReceived,
    ResponseData,
    ResponseStarted,
    StreamReset,
    ViolationReceived,
)
from seaway.protocol.http1 import Http1Connection, HttpLimits
from seaway.protocol.http1_request import RequestReader

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"


def request(*lines: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join([method + b" / " + version, b"Host: a", *lines, b"", b""])


def only(connection: Http1Connection, data: bytes) -> RequestReceived:
    (event,) = connection.receive(data)
    assert isinstance(event, RequestReceived)
    return event


def refused(data: bytes, limits: HttpLimits | None = None) -> int:
    """The status with which the last event of ``data`` refuses it."""
    connection = Http1Connection(limits)
    *_, last = connection.receive(data)
    assert isinstance(last, ViolationReceived), last
    assert last.reason
    assert connection.receive(GET) == []
    return last.status


def answer(connection: Http1Connection, body: bytes = b"ok", *more: tuple[bytes, bytes]) -> bytes:
    stream = connection.answering
    headers = [(b"content-length", b"%d" % len(body)), (b"date", b"now"), *more]
    head = connection.send(ResponseStarted(stream, 200, headers))
    return head + connection.send(ResponseData(stream, body, ended=True))


def joined(events: Iterable[Event]) -> list[Event]:
    """The events with neighbouring parts of a body joined: where bytes are split, parts are too."""
    result: list[Event] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, DataReceived) and isinstance(last, DataReceived):
            result[-1] = DataReceived(last.stream, last.data + event.data)
        else:
            result.append(event)
    return result


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


# Persistence -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "persists", "line"),
    [
        (request(), True, b""),
        (request(b"Connection: close"), False, b"connection: close\r\n"),
        (request(b"Connection: foo, CLOSE"), False, b"connection: close\r\n"),
        (request(version=b"HTTP/1.0"), False, b"connection: close\r\n"),
        (
            request(b"Connection: Keep-Alive", version=b"HTTP/1.0"),
            True,
            b"connection: keep-alive\r\n",
        ),
        (
            request(b"Connection: keep-alive, close", version=b"HTTP/1.0"),
            False,
            b"connection: close\r\n",
        ),
    ],
)
def test_persistence_rfc9112_9_3(data: bytes, persists: bool, line: bytes) -> None:
    connection = Http1Connection()
    event, *more = connection.receive(data + GET)
    assert isinstance(event, RequestReceived)
    assert len(more) == persists
    head = answer(connection)
    assert connection.keep_alive is persists
    assert head == (b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\n" + line + b"\r\nok")
    assert connection.receive(GET) == [] or persists


def test_the_application_may_close_rfc9112_9_6() -> None:
    connection = Http1Connection()
    connection.receive(GET + GET)
    assert b"connection: close\r\n" in answer(connection, b"", (b"Connection", b"close"))
    assert not connection.keep_alive
    assert connection.answers_owed == 0
    assert connection.receive(GET) == []


def test_a_response_that_fell_short_ends_the_connection() -> None:
    connection = Http1Connection()
    only(connection, GET)
    connection.send(ResponseStarted(1, 200, [(b"content-length", b"5")]))
    assert connection.keep_alive
    with pytest.raises(ResponseError, match="3 bytes under"):
        connection.send(ResponseData(1, b"ab", ended=True))
    assert not connection.keep_alive


def test_an_interim_response_leaves_the_final_one_owed() -> None:
    connection = Http1Connection()
    only(connection, GET)
    hint = connection.send(InterimResponse(1, 103, [(b"link", b"</a>")]))
    assert hint == b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    assert connection.answering == 1


def test_a_connection_that_is_done_is_freed_without_the_garbage_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class WatchedReader(RequestReader):
        __slots__ = ("__weakref__",)

    monkeypatch.setattr("seaway.protocol.http1.RequestReader", WatchedReader)
    connection = Http1Connection()
    reader = weakref.ref(connection._reader)
    gc.disable()
    try:
        connection.receive_eof()
        del connection
        assert reader() is None
    finally:
        gc.enable()


def test_what_is_pending_is_told() -> None:
    connection = Http1Connection()
    assert connection.idle
    assert connection.receive(GET[:5]) == []
    assert connection.head_pending
    assert not connection.idle
    connection.receive(GET[5:])
    assert not connection.head_pending
    assert not connection.idle
    answer(connection)
    assert connection.idle
    assert connection.answering == 0


# The end of reading ------------------------------------------------------------------------------


def test_eof_between_requests_is_no_event_rfc9112_9_5() -> None:
    connection = Http1Connection()
    only(connection, GET)
    assert connection.receive_eof() == []
    assert b"connection: close" in answer(connection)
    assert not connection.keep_alive


def test_eof_while_a_response_is_under_way() -> None:
    connection = Http1Connection()
    only(connection, GET)
    connection.send(ResponseStarted(1, 200, [(b"content-length", b"2")]))
    assert connection.keep_alive
    assert connection.receive_eof() == []
    assert not connection.keep_alive
    assert connection.send(ResponseData(1, b"ok", ended=True)) == b"ok"
    assert not connection.keep_alive


def test_eof_inside_a_head_rfc9112_8() -> None:
    connection = Http1Connection()
    connection.receive(GET[:5])
    (event,) = connection.receive_eof()
    assert isinstance(event, ViolationReceived)
    assert event.status == 400


def test_eof_inside_a_body_rfc9112_8() -> None:
    connection = Http1Connection()
    connection.receive(CHUNKED)
    assert connection.receive_eof() == [StreamReset(1)]


# Expect ------------------------------------------------------------------------------------------

EXPECTING = request(b"Expect: 100-Continue", b"Content-Length: 2", method=b"POST")


def test_expect_is_met_rfc9110_10_1_1() -> None:
    connection = Http1Connection()
    assert only(connection, EXPECTING).expects_continue
    assert connection.send(InterimResponse(1, 100, [])) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert connection.receive(b"ab") == [DataReceived(1, b"ab"), RequestEnded(1)]
    answer(connection)
    assert connection.keep_alive


def test_a_client_may_send_its_body_without_waiting_rfc9110_10_1_1() -> None:
    connection = Http1Connection()
    connection.receive(EXPECTING + b"ab")
    answer(connection)
    assert connection.keep_alive


def test_an_answer_instead_of_100_closes_rfc9110_10_1_1() -> None:
    connection = Http1Connection()
    connection.receive(EXPECTING)
    assert b"connection: close\r\n" in answer(connection)
    assert not connection.keep_alive


@pytest.mark.parametrize(
    "data",
    [
        request(b"Expect: 100-continue"),
        request(b"Expect: 100-continue", b"Content-Length: 2", version=b"HTTP/1.0"),
        request(b"Expect: other", version=b"HTTP/1.0"),
    ],
)
def test_expect_without_a_body_or_in_http_1_0_is_void_rfc9110_10_1_1(data: bytes) -> None:
    assert not only(Http1Connection(), data).expects_continue


def test_an_early_answer_leaves_the_rest_of_the_body_to_be_read() -> None:
    connection = Http1Connection()
    connection.receive(CHUNKED + b"1\r\na\r\n")
    answer(connection)
    assert connection.keep_alive
    assert not connection.idle
    last, request_after = connection.receive(b"0\r\n\r\n" + GET)
    assert last == RequestEnded(1)
    assert isinstance(request_after, RequestReceived)


def test_a_violation_in_a_body_that_is_already_answered_only_closes() -> None:
    connection = Http1Connection()
    connection.receive(CHUNKED)
    answer(connection)
    (violation,) = connection.receive(b"bad\0")
    assert isinstance(violation, ViolationReceived)
    assert connection.answers_owed == 0
    assert not connection.keep_alive


# Upgrade -----------------------------------------------------------------------------------------


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


# Robustness --------------------------------------------------------------------------------------


def test_a_fault_of_our_own_is_not_blamed_on_the_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: RequestReader, data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RequestReader, "on_body", broken)
    connection = Http1Connection()
    with pytest.raises(httptools.HttpParserCallbackError):
        connection.receive(request(b"Content-Length: 1") + b"x")


def test_a_violation_is_told_even_while_an_exception_is_handled() -> None:
    try:
        raise LookupError
    except LookupError:
        assert refused(request(b"Host: b")) == 400


BODIES = st.binary(max_size=60)


@st.composite
def valid_requests(draw: st.DrawFn) -> bytes:
    body = draw(BODIES)
    lines = [
        b"X-%d: %b" % (n, b"v" * draw(st.integers(0, 20))) for n in range(draw(st.integers(0, 3)))
    ]
    if draw(st.booleans()):
        lines.append(b"Connection: upgrade\r\nUpgrade: x")
        body = body or b"."  # without a body it would hold the rest back
    if not body:
        return request(*lines)
    if draw(st.booleans()):
        return request(*lines, b"Content-Length: %d" % len(body), method=b"PUT") + body
    half = len(body) // 2
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part]
    framed = b"".join(chunks) + b"0\r\n\r\n"
    return request(*lines, b"Transfer-Encoding: chunked", method=b"PUT") + framed


@given(st.lists(valid_requests(), min_size=1, max_size=4), st.data())
def test_any_split_gives_the_same_events(requests: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(requests)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole = joined(Http1Connection().receive(stream))
    connection = Http1Connection()
    assert joined(e for piece in pieces for e in connection.receive(piece)) == whole
    assert sum(isinstance(event, RequestReceived) for event in whole) == len(requests)
    assert not any(isinstance(event, ViolationReceived) for event in whole)


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([GET, CHUNKED, UPGRADE]))))
def test_random_bytes_end_in_a_violation_at_worst(pieces: list[bytes]) -> None:
    connection = Http1Connection()
    events = [event for piece in pieces for event in connection.receive(piece)]
    events += connection.receive_eof()
    assert not any(isinstance(event, ViolationReceived) for event in events[:-1])


@given(st.integers())
def test_mutated_requests_read_the_same_however_they_are_split(seed: int) -> None:
    check(mutate(random.Random(seed)))
