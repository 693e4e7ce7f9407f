"""The HTTP/2 connection without sockets: events, responses, flow control, the way out.

What a peer must not do is in `test_http2_conformance`.
"""

import pytest
from compliance.http2_frames import (
    CANCEL,
    DATA,
    GET,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    PING,
    POST,
    PREFACE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    data,
    frame,
    headers,
    rst_stream,
    settings,
    window_update,
)

from seaway.exceptions import ResponseError
from seaway.protocol.events import (
    DataReceived,
    Event,
    Headers,
    InterimResponse,
    RequestEnded,
    RequestReceived,
    ResponseData,
    ResponseStarted,
    ResponseTrailers,
    StreamEnded,
    StreamReset,
    ViolationReceived,
    WindowOpened,
)
from seaway.protocol.http1 import HttpLimits
from seaway.protocol.http2 import Http2Limits
from tests.protocol.http2_memory import MemoryServer, hello

WEBSOCKET = (
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/ws"),
    (":authority", "localhost"),
)
WINDOW = 65_535


@pytest.fixture
def server() -> MemoryServer:
    server = MemoryServer()
    server.peer.greet()
    server.events.clear()
    return server


def ask(server: MemoryServer, *fields: tuple[str, str], end: bool = True) -> RequestReceived:
    server.peer.send(headers(1, (*GET, *fields), end=end))
    (event,) = server.of(RequestReceived)
    assert isinstance(event, RequestReceived)
    return event


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
    assert isinstance(event, RequestReceived)
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


# Flow control ------------------------------------------------------------------------------------


def test_the_peers_window_holds_a_response_back(server: MemoryServer) -> None:
    ask(server)
    assert server.connection.window(1) == WINDOW
    server.start(1)
    server.connection.send(ResponseData(1, bytes(100_000), ended=True))
    server.flush()
    assert server.connection.queued(1) == 100_000 - WINDOW
    assert server.connection.window(1) == 0
    server.peer.send(window_update(1, 10_000))
    assert server.events[-1] == WindowOpened(1)
    # The connection's own window is still closed.
    assert server.connection.queued(1) == 100_000 - WINDOW
    server.peer.send(window_update(0, 100_000))
    assert server.connection.queued(1) == 100_000 - WINDOW - 10_000
    server.peer.send(window_update(1, 100_000))
    assert server.peer.response(1)[1] == bytes(100_000)


def test_new_initial_windows_are_told(server: MemoryServer) -> None:
    server.peer.send(settings((4, 100_000)))
    assert server.events[-1] == WindowOpened(0)


def test_nothing_is_written_unless_asked_for(server: MemoryServer) -> None:
    server.connection.receive(headers(1))
    server.respond(1, bytes(5000))
    assert server.connection.queued(1) == 5000
    server.flush()
    assert server.connection.queued(1) == 0


def updates(server: MemoryServer) -> dict[int, int]:
    """By how much the server has opened its windows since the last call."""
    found: dict[int, int] = {}
    while (each := server.peer.next()) is not None:
        if each.kind == WINDOW_UPDATE:
            found[each.stream] = found.get(each.stream, 0) + int.from_bytes(each.payload, "big")
    return found


def test_windows_open_as_the_application_takes_a_body() -> None:
    limits = Http2Limits(stream_window=WINDOW, connection_window=2 * WINDOW)
    server = MemoryServer(limits=limits)
    server.peer.greet()
    updates(server)
    server.peer.send(headers(1, POST, end=False), *(data(1, bytes(15_000)) for _ in range(4)))
    assert updates(server) == {}
    server.connection.acknowledge(1, 60_000)
    server.flush()
    assert updates(server)[1] == 60_000
    server.peer.send(data(1, bytes(10_000)))
    server.connection.acknowledge(1, 10_000)
    server.flush()
    assert updates(server) == {0: 70_000}


def test_what_nobody_takes_of_a_reset_stream_opens_the_connections_window() -> None:
    limits = Http2Limits(stream_window=WINDOW, connection_window=WINDOW)
    server = MemoryServer(limits=limits)
    server.peer.greet()
    for stream in range(1, 21, 2):
        server.peer.send(
            headers(stream, POST, end=False),
            *(data(stream, bytes(15_000)) for _ in range(4)),
            rst_stream(stream),
        )
        assert updates(server) == {0: 60_000}


def test_data_of_a_refused_request_opens_the_connections_window() -> None:
    limits = Http2Limits(stream_window=WINDOW, connection_window=WINDOW)
    server = MemoryServer(limits=limits)
    server.peer.greet()
    connect = ((":method", "CONNECT"), (":authority", "a:1"))
    opened = 0
    for stream in range(1, 21, 2):
        server.peer.send(
            headers(stream, connect, end=False), *(data(stream, bytes(5_000)) for _ in range(4))
        )
        opened += updates(server).get(0, 0)
    # Windows are opened in steps of at least their half.
    assert opened > 10 * 20_000 - WINDOW // 2


def test_data_cut_in_two_by_a_reset_opens_the_connections_window() -> None:
    limits = Http2Limits(stream_window=WINDOW, connection_window=WINDOW)
    server = MemoryServer(limits=limits)
    server.peer.greet()
    opened = 0
    for stream in range(1, 41, 2):
        part = data(stream, bytes(16_000))
        server.peer.send(headers(stream, POST, end=False), part[:8_000])
        server.connection.reset(stream, CANCEL)
        server.flush()
        server.peer.send(part[8_000:])
        opened += updates(server).get(0, 0)
    assert not server.connection.closed
    assert opened > 20 * 16_000 - WINDOW // 2


def test_more_than_the_window_is_an_error(server: MemoryServer) -> None:
    server.peer.send(headers(1, POST, end=False), *(data(1, bytes(16_000)) for _ in range(5)))
    ends = server.peer.until(lambda each: each.kind in {RST_STREAM, GOAWAY})[-1]
    assert ends.code == 3


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


# The end -----------------------------------------------------------------------------------------


def last_stream(payload: bytes) -> int:
    return int.from_bytes(payload[:4], "big")


def test_leaving_in_two_steps(server: MemoryServer) -> None:
    ask(server)
    server.connection.announce_end()
    server.connection.announce_end()
    server.flush()
    notice = server.peer.until(lambda each: each.kind == GOAWAY)[-1]
    assert (last_stream(notice.payload), notice.code) == (2**31 - 1, NO_ERROR)
    server.peer.send(headers(3))
    assert len(server.of(RequestReceived)) == 2
    server.connection.end()
    server.flush()
    final = server.peer.until(lambda each: each.kind == GOAWAY)[-1]
    assert last_stream(final.payload) == 3
    server.peer.send(headers(5))
    assert len(server.of(RequestReceived)) == 2
    for stream in (1, 3):
        assert not server.connection.closed
        server.respond(stream)
        server.flush()
        assert server.peer.response(stream)[0] == "200"
    assert server.connection.closed
    assert server.of(ViolationReceived) == []


def test_ending_at_once(server: MemoryServer) -> None:
    ask(server)
    server.connection.terminate()
    assert server.connection.closed
    server.flush()
    assert server.peer.until(lambda each: each.kind == GOAWAY)[-1].code == NO_ERROR
    assert server.connection.receive(headers(3)) == []
    assert server.connection.data_to_send() == b""
    for harmless in (server.connection.end, server.connection.announce_end):
        harmless()


def test_the_client_leaves(server: MemoryServer) -> None:
    ask(server)
    server.peer.send(frame(GOAWAY, 0, 0, bytes(8)))
    assert not server.connection.closed
    server.respond(1)
    server.flush()
    assert server.peer.response(1)[0] == "200"
    assert server.connection.closed


def test_a_violation_is_the_last_event(server: MemoryServer) -> None:
    server.peer.send(headers(1, POST, end=False), frame(PING, 0, 3, bytes(8)), headers(5))
    assert isinstance(server.events[-1], ViolationReceived)
    assert server.of(StreamReset) == []
    assert server.connection.closed


def test_a_flood_of_headers_is_one_violation() -> None:
    server = MemoryServer()
    server.peer.greet()
    bomb = b"\x40\x01x\x7f\xa1\x1e" + b"a" * 4000 + b"\xbe" * 8000
    server.peer.send(frame(HEADERS, 5, 1, bomb))
    (event,) = server.of(ViolationReceived)
    assert isinstance(event, ViolationReceived)
    assert event.status == 429


def test_allowances_come_back_with_time() -> None:
    server = MemoryServer(hello)
    server.peer.greet()
    for _ in range(20):
        server.peer.send(frame(PING, 0, 0, bytes(8)) * 90)
        server.clock.now += 10
    assert not server.connection.closed
    server.peer.send(frame(PING, 0, 0, bytes(8)) * 101)
    assert server.connection.closed


def test_settings_come_first() -> None:
    server = MemoryServer()
    assert not server.connection.greeted
    server.peer.send(PREFACE)
    first = server.peer.next()
    assert first is not None
    assert first.kind == SETTINGS
    server.peer.send(settings())
    assert server.connection.greeted


def test_an_unfinished_header_block_shows(server: MemoryServer) -> None:
    server.peer.send(headers(1, flags=0))
    assert server.connection.head_pending
    server.peer.send(frame(9, 4, 1, b""))
    assert not server.connection.head_pending


def test_bytes_in_any_pieces(server: MemoryServer) -> None:
    wire = headers(1, POST, end=False) + data(1, b"body", end=True) + headers(3)
    expected: list[Event] = []
    whole = MemoryServer()
    whole.peer.greet()
    whole.events.clear()
    whole.peer.send(wire)
    expected = whole.events
    for byte in wire:
        server.peer.send(bytes((byte,)))
    assert server.events == expected
