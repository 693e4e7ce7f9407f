"""HTTP/2 without sockets: requests, responses, promises.

What a peer must not do is in `test_http2_conformance`.
"""

import pytest
from compliance.http2_frames import (
    CANCEL,
    DATA,
    GET,
    HEADERS,
    NO_ERROR,
    POST,
    PUSH_PROMISE,
    RST_STREAM,
    data,
    headers,
    rst_stream,
)

from seaway.exceptions import ResponseError
from seaway.protocol.events import (
    DataReceived,
    Headers,
    InterimResponse,
    RequestEnded,
    RequestReceived,
    ResponseData,
    ResponseStarted,
    ResponseTrailers,
    StreamEnded,
    StreamReset,
)
from seaway.protocol.http1 import HttpLimits
from seaway.protocol.http2 import Http2Limits
from tests.protocol.http2_memory import MemoryServer, ask

WEBSOCKET = (
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/ws"),
    (":authority", "localhost"),
)


# Requests ----------------------------------------------------------------------------------------


def test_a_request(server: MemoryServer) -> None:
    event = ask(server, ("x", "1"), ("cookie", "a=1"), ("y", "2"), ("cookie", "b=2"))
    fields = [(b"host", b"localhost"), (b"x", b"1"), (b"y", b"2"), (b"cookie", b"a=1; b=2")]
    assert event == RequestReceived(1, "GET", b"/", fields, "2", ended=True)


def test_a_body_and_trailers(server: MemoryServer) -> None:
    server.peer.send(headers(1, POST, end=False), data(1, b"one"), data(1, b"two"))
    server.peer.send(headers(1, (("x-sum", "9"),)))
    assert server.events[1:] == [
        DataReceived(1, b"one"),
        DataReceived(1, b"two"),
        RequestEnded(1, [(b"x-sum", b"9")]),
    ]


def test_the_end_in_an_empty_frame(server: MemoryServer) -> None:
    server.peer.send(headers(1, POST, end=False), data(1, end=True))
    assert server.events[1:] == [RequestEnded(1)]


def test_a_websocket_request(server: MemoryServer) -> None:
    server.peer.send(headers(1, WEBSOCKET, end=False))
    (event,) = server.of(RequestReceived)
    assert (event.method, event.target, event.upgrade) == ("CONNECT", b"/ws", "websocket")
    server.start(1, 101, [(b"sec-websocket-protocol", b"a")])
    server.connection.write(1, b"bytes")
    server.flush()
    answer = server.peer.until(lambda each: each.kind == HEADERS)[-1]
    assert answer.status == "200"
    assert server.peer.until(lambda each: each.kind == DATA)[-1].payload == b"bytes"


@pytest.mark.parametrize(("sent", "expected"), [("100-continue", True), ("100-CONTINUE", True)])
def test_an_expectation(server: MemoryServer, sent: str, expected: bool) -> None:
    assert ask(server, ("expect", sent), end=False).expects_continue is expected


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("417", (*GET, ("expect", "gold"))),
        ("431", (*GET, *((f"x-{n}", "y") for n in range(20)))),
        ("431", (*GET, ("x", "y" * 900))),
        ("414", (*GET[:2], (":path", "/" + "a" * 300), GET[3])),
        ("501", ((":method", "CONNECT"), (":authority", "a:1"))),
        ("501", tuple((n, "other" if n == ":protocol" else v) for n, v in WEBSOCKET)),
    ],
)
def test_requests_that_are_answered_at_once(
    status: str, fields: tuple[tuple[str, str], ...]
) -> None:
    limits = Http2Limits(HttpLimits(header_bytes=800, header_count=16, target_bytes=200))
    server = MemoryServer(limits=limits)
    server.peer.greet()
    server.peer.send(headers(1, fields, end=False))
    assert server.peer.response(1)[0] == status
    assert server.peer.until(lambda each: each.kind == RST_STREAM)[-1].code == NO_ERROR
    assert server.of(RequestReceived) == []
    server.peer.send(data(1, b"on its way"), headers(3))
    assert len(server.of(RequestReceived)) == 1


# Responses ---------------------------------------------------------------------------------------


def test_a_response_in_parts(server: MemoryServer) -> None:
    ask(server)
    send = server.connection.send
    send(InterimResponse(1, 103, [(b"link", b"<a>")]))
    send(ResponseStarted(1, 200, [(b"X-A", b" b ")]))
    assert send(ResponseData(1, b"one")) == 3
    send(ResponseData(1, b"two", ended=True))
    server.flush()
    frames = [each for each in server.peer.until(lambda each: each.ended) if each.stream]
    assert frames[0].fields == ((":status", "103"), ("link", "<a>"))
    assert frames[1].fields[:2] == ((":status", "200"), ("x-a", "b"))
    assert b"".join(each.payload for each in frames[2:]) == b"onetwo"
    assert server.events[-1] == StreamEnded(1)
    assert server.connection.streams == {}


def test_trailers(server: MemoryServer) -> None:
    ask(server)
    server.start(1)
    server.connection.send(ResponseData(1, b"body"))
    server.connection.send(ResponseTrailers(1, [(b"X-Sum", b"1")]))
    server.flush()
    last = server.peer.until(lambda each: each.ended)[-1]
    assert (last.kind, last.fields) == (HEADERS, (("x-sum", "1"),))


def test_no_trailers_after_all(server: MemoryServer) -> None:
    ask(server)
    server.start(1)
    server.connection.send(ResponseData(1, b"body"))
    server.connection.send(ResponseTrailers(1, []))
    server.flush()
    assert server.peer.response(1) == ("200", b"body")


def test_head_and_statuses_without_content(server: MemoryServer) -> None:
    server.peer.send(headers(1, ((":method", "HEAD"), *GET[1:])), headers(3))
    server.respond(1, b"what GET would have", headers=[(b"content-length", b"19")])
    server.respond(3, b"", 204, [(b"content-length", b"0")])
    server.flush()
    first = server.peer.until(lambda each: each.ended)[-1]
    assert (first.stream, first.kind) == (1, HEADERS)
    second = server.peer.until(lambda each: each.ended)[-1]
    assert (second.stream, second.status) == (3, "204")
    assert "content-length" not in dict(second.fields)


def test_a_head_of_several_frames(server: MemoryServer) -> None:
    ask(server)
    while server.peer.next() is not None:
        pass
    server.respond(1, b"", headers=[(b"x", b"~|{}" * 30_000)])
    wire = server.connection.data_to_send()
    kinds = []
    while wire:
        kinds.append(wire[3])
        wire = wire[9 + int.from_bytes(wire[:3], "big") :]
    assert kinds[0] == HEADERS
    assert set(kinds[1:]) == {9}
    assert server.connection.settle() == [StreamEnded(1)]


def test_dates_are_the_applications_if_it_has_one(server: MemoryServer) -> None:
    ask(server)
    server.respond(1, headers=[(b"date", b"long ago")])
    server.flush()
    fields = server.peer.until(lambda each: each.kind == HEADERS)[-1].fields
    assert [value for name, value in fields if name == "date"] == ["long ago"]


@pytest.mark.parametrize(
    ("status", "fields", "words"),
    [
        (99, [], "as a final response"),
        (1000, [], "three-digit"),
        (101, [], "asked for no upgrade"),
        (103, [], "as a final response"),
        (200, [(b"bad name", b"x")], "not a token"),
        (200, [(b"x", b"a\r\nb")], "CR, LF or NUL"),
        (200, [(b"content-length", b"1x")], "no number"),
        (200, [(b"content-length", b"1"), (b"content-length", b"2")], "two different"),
    ],
)
def test_heads_that_http_cannot_carry(
    server: MemoryServer, status: int, fields: Headers, words: str
) -> None:
    ask(server)
    with pytest.raises(ResponseError, match=words):
        server.start(1, status, fields)
    server.respond(1, b"sorry", 500)
    server.flush()
    assert server.peer.response(1) == ("500", b"sorry")


@pytest.mark.parametrize(("body", "words"), [(b"four", "1 bytes over"), (b"ab", "1 bytes under")])
def test_bodies_that_break_their_content_length(
    server: MemoryServer, body: bytes, words: str
) -> None:
    ask(server)
    server.start(1, 200, [(b"content-length", b"3")])
    with pytest.raises(ResponseError, match=words):
        server.connection.send(ResponseData(1, body, ended=True))


def test_a_body_with_204(server: MemoryServer) -> None:
    ask(server)
    with pytest.raises(ResponseError, match="over"):
        server.respond(1, b"body", 204)


@pytest.mark.parametrize(
    "event",
    [
        ResponseStarted(1, 200, []),
        InterimResponse(1, 103, []),
        ResponseTrailers(1, [(b"content-length", b"1")]),
    ],
)
def test_out_of_order(server: MemoryServer, event: InterimResponse) -> None:
    ask(server)
    server.start(1)
    with pytest.raises(ResponseError):
        server.connection.send(event)


def test_parts_before_the_head(server: MemoryServer) -> None:
    ask(server)
    for event in (ResponseData(1, b"x"), ResponseTrailers(1, [])):
        with pytest.raises(ResponseError, match="outside of a response"):
            server.connection.send(event)
    with pytest.raises(ResponseError, match="as an interim response"):
        server.connection.send(InterimResponse(1, 101, []))


def test_answers_to_a_stream_that_is_gone_go_nowhere(server: MemoryServer) -> None:
    ask(server)
    server.peer.send(rst_stream(1))
    assert server.events[-1] == StreamReset(1)
    server.respond(1)
    assert server.connection.send(ResponseData(1, b"x")) == 0
    server.connection.write(1, b"x")
    server.connection.reset(1, CANCEL)
    server.connection.acknowledge(1, 5)
    assert server.connection.window(1) == 0
    server.flush()
    assert server.peer.next() is None or not server.connection.closed


# Push --------------------------------------------------------------------------------------------


def test_a_promise_and_its_answer(server: MemoryServer) -> None:
    ask(server)
    assert server.connection.may_push
    fields = [(b"Accept", b"text/css"), (b"host", b"x")]
    promised = server.connection.push(1, "https", b"localhost", b"/a.css", fields)
    assert promised is not None
    assert (promised.stream, promised.target, promised.ended) == (2, b"/a.css", True)
    server.flush()
    server.respond(2, b"css")
    server.respond(1, b"page")
    server.flush()
    promise = server.peer.until(lambda each: each.kind == PUSH_PROMISE)[-1]
    assert dict(promise.fields)["accept"] == "text/css"
    assert server.peer.response(2) == ("200", b"css")
    assert set(server.of(StreamEnded)) == {StreamEnded(1), StreamEnded(2)}


def test_promises_that_the_client_does_not_allow() -> None:
    for pair in ((2, 0), (3, 0)):
        server = MemoryServer()
        server.peer.greet(pair)
        ask(server)
        assert not server.connection.may_push
        assert server.connection.push(1, "http", b"localhost", b"/a", []) is None


def test_promises_about_nothing(server: MemoryServer) -> None:
    ask(server)
    assert server.connection.push(3, "http", b"localhost", b"/a", []) is None
    promised = server.connection.push(1, "http", b"localhost", b"/a", [])
    assert promised is not None
    assert server.connection.push(promised.stream, "http", b"localhost", b"/b", []) is None
