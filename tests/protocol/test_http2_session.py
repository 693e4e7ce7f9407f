"""The course of an HTTP/2 connection without sockets: windows, bytes in any pieces, the way out.

What a peer must not do is in `test_http2_conformance`.
"""

from compliance.http2_frames import (
    CANCEL,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    PING,
    POST,
    PREFACE,
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

from seaway.protocol.events import (
    Event,
    RequestReceived,
    ResponseData,
    StreamReset,
    ViolationReceived,
    WindowOpened,
)
from seaway.protocol.http2 import Http2Limits
from tests.protocol.http2_memory import MemoryServer, ask, hello

WINDOW = 65_535


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
