"""Connections that speak HTTP/1.1, in bytes: persistence, the end, Expect (RFC 9110, RFC 9112)."""

from __future__ import annotations

import gc
import random
import weakref

import httptools
import pytest
from compliance.fuzz_http1 import check, mutate
from hypothesis import given
from hypothesis import strategies as st

from seaway.exceptions import ResponseError
from seaway.protocol.events import (
    DataReceived,
    InterimResponse,
    RequestEnded,
    RequestReceived,
    ResponseData,
    ResponseStarted,
    StreamReset,
    ViolationReceived,
)
from seaway.protocol.http1 import Http1Connection
from seaway.protocol.http1_request import RequestReader

from .http1_talk import CHUNKED, GET, UPGRADE, answer, joined, only, refused, request

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
