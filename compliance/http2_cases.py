"""What a server must do with each kind of right and wrong frame, section by section.

What lives here: the cases, after RFC 9113, RFC 7541 and RFC 8441.
What must not: how the server under test is reached (`http2_frames`, `http2`).

The server under test answers every request with 200, whatever its method, and does not wait for a
request's body.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from compliance.http2_frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GET,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    POST,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Fields,
    Peer,
    block,
    data,
    frame,
    headers,
    integer,
    priority,
    rst_stream,
    settings,
    window_update,
)

Run = Callable[[Peer], None]
MAX_CONCURRENT, INITIAL_WINDOW, MAX_FRAME = 3, 4, 5
ENABLE_PUSH, ENABLE_CONNECT = 2, 8


@dataclass(frozen=True)
class Case:
    """One thing to try. ``greeted``: the connection has had its preface and SETTINGS."""

    section: str
    text: str
    run: Run
    greeted: bool = True

    def __str__(self) -> str:
        return f"{self.section} {self.text}"


CASES: list[Case] = []
#: A literal's name, x-test, in Huffman code; its value follows.
_HUFFMAN_NAME = b"\x00\x85\xf2\xb2\x4a\x84\xff"


# Expectations ------------------------------------------------------------------------------------


def connection_error(peer: Peer, *codes: int) -> None:
    """GOAWAY with one of ``codes``, then the end."""
    found = peer.until(lambda each: each.kind == GOAWAY and each.code != 0)[-1]
    assert found.code in codes, f"GOAWAY with {found.code}, not {codes}"
    while peer.next() is not None:
        pass
    assert peer.closed, "the connection stays open after GOAWAY"


def stream_error(peer: Peer, stream: int, *codes: int) -> None:
    """RST_STREAM with one of ``codes``; an error of the connection does as well (section 5.4)."""

    def wanted(each: object) -> bool:
        kind, of, code = each.kind, each.stream, each.code  # type: ignore[attr-defined]
        return bool(kind == GOAWAY or (kind == RST_STREAM and of == stream and code != 0))

    found = peer.until(wanted)[-1]
    assert found.code in codes, f"{found.code}, not {codes}"


def alive(peer: Peer) -> None:
    """The connection works: a ping is answered, and no error came before."""
    peer.send(frame(PING, 0, 0, b"alive???"))
    seen = peer.until(lambda each: each.kind == PING and each.payload == b"alive???")
    assert not [each for each in seen if each.kind in {GOAWAY, RST_STREAM} and each.code]


def served(peer: Peer, stream: int = 1) -> None:
    status, _ = peer.response(stream)
    assert status == "200", status


# Builders of cases ------------------------------------------------------------------------------


def case(section: str, text: str, run: Run, *, greeted: bool = True) -> None:
    CASES.append(Case(section, text, run, greeted))


def fatal(section: str, text: str, *frames: bytes, codes: tuple[int, ...]) -> None:
    """Frames that end the connection."""

    def run(peer: Peer) -> None:
        peer.send(*frames)
        connection_error(peer, *codes)

    case(section, text, run)


def refused(
    section: str, text: str, *frames: bytes, stream: int = 1, codes: tuple[int, ...]
) -> None:
    """Frames that end their stream at least."""

    def run(peer: Peer) -> None:
        peer.send(*frames)
        stream_error(peer, stream, *codes)

    case(section, text, run)


def fine(section: str, text: str, *frames: bytes, stream: int = 0) -> None:
    """Frames that the server has to take; ``stream``: and to answer there."""

    def run(peer: Peer) -> None:
        peer.send(*frames)
        if stream:
            served(peer, stream)
        alive(peer)

    case(section, text, run)


def malformed(section: str, text: str, fields: Fields) -> None:
    """A request that is not answered with 2xx but refused (section 8.1.1)."""
    refused(section, text, headers(1, fields), codes=(PROTOCOL_ERROR,))


def without(*names: str, of: Fields = GET) -> Fields:
    return tuple(field for field in of if field[0] not in names)


def with_(*fields: tuple[str, str], of: Fields = GET) -> Fields:
    return (*of, *fields)


def replaced(**values: str) -> Fields:
    """GET with other pseudo-header fields: ``replaced(path="")``."""
    return tuple((name, values.get(name[1:], value)) for name, value in GET)


# 3 Starting --------------------------------------------------------------------------------------


def _wrong_preface(peer: Peer) -> None:
    peer.send(PREFACE[:-4] + b"XX\r\n", settings())
    while (found := peer.next()) is not None:
        assert found.kind != GOAWAY or found.code == PROTOCOL_ERROR
    assert peer.closed


def _no_settings(peer: Peer) -> None:
    peer.send(PREFACE, headers(1))
    connection_error(peer, PROTOCOL_ERROR)


def _first_frame(peer: Peer) -> None:
    peer.send(PREFACE, settings())
    found = peer.next()
    assert found is not None
    assert (found.kind, found.flags, found.stream) == (SETTINGS, 0, 0)


def _in_pieces(peer: Peer) -> None:
    for byte in PREFACE + settings() + headers(1):
        peer.send(bytes((byte,)))
    served(peer)


def _no_preface(peer: Peer) -> None:
    # No request of HTTP/1.1 either: an unknown method, and no version.
    peer.send(b"INVALID CONNECTION PREFACE\r\n\r\n")
    connection_error(peer, PROTOCOL_ERROR)


case("3.4", "a wrong preface", _wrong_preface, greeted=False)
case("3.4", "words in the preface's place", _no_preface, greeted=False)
case("3.4", "a preface without SETTINGS", _no_settings, greeted=False)
case("3.4", "the server's first frame is SETTINGS", _first_frame, greeted=False)
case("3.4", "preface and request, byte for byte", _in_pieces, greeted=False)

# 4 Frames ----------------------------------------------------------------------------------------

fine("4.1", "a frame of an unknown type", frame(0x16, 0, 0, b"unknown"))
fine("4.1", "unknown flags in PING", frame(PING, 0x16, 0, b"12345678"))
fine("4.1", "the reserved bit in PING", frame(PING, 0, 1 << 31, b"12345678"))
fine(
    "4.2",
    "a DATA frame of 2^14 bytes",
    headers(1, POST, end=False),
    data(1, bytes(1 << 14), end=True),
    stream=1,
)
refused(
    "4.2",
    "a DATA frame over SETTINGS_MAX_FRAME_SIZE",
    headers(1, POST, end=False),
    data(1, bytes((1 << 14) + 1), end=True),
    codes=(FRAME_SIZE_ERROR,),
)
fatal(
    "4.2",
    "a HEADERS frame over SETTINGS_MAX_FRAME_SIZE",
    headers(1, with_(*((f"x-{n}", "a" * 4000) for n in range(5)))),
    codes=(FRAME_SIZE_ERROR,),
)
fatal(
    "4.3",
    "a header block that does not decompress",
    frame(HEADERS, END_HEADERS | END_STREAM, 1, _HUFFMAN_NAME + b"\x84\x49\x50\x9f\xff"),
    codes=(COMPRESSION_ERROR,),
)
fatal(
    "4.3",
    "a header block that ends inside a literal",
    frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x40"),
    codes=(COMPRESSION_ERROR,),
)
fatal(
    "4.3",
    "PRIORITY inside a header block",
    headers(1, flags=0),
    priority(1, 0),
    codes=(PROTOCOL_ERROR,),
)
fatal(
    "4.3",
    "HEADERS of another stream inside a header block",
    headers(1, flags=0),
    headers(3),
    codes=(PROTOCOL_ERROR,),
)

# 5 Streams ---------------------------------------------------------------------------------------

fatal("5.1", "idle: DATA", data(1, b"x", end=True), codes=(PROTOCOL_ERROR,))
fatal("5.1", "idle: RST_STREAM", rst_stream(1), codes=(PROTOCOL_ERROR,))
fatal("5.1", "idle: WINDOW_UPDATE", window_update(1, 100), codes=(PROTOCOL_ERROR,))
fatal(
    "5.1",
    "idle: CONTINUATION",
    frame(CONTINUATION, END_HEADERS, 1, block(GET)),
    codes=(PROTOCOL_ERROR,),
)
refused("5.1", "half-closed: DATA", headers(1), data(1, b"x", end=True), codes=(STREAM_CLOSED,))
refused("5.1", "half-closed: HEADERS", headers(1), headers(1), codes=(STREAM_CLOSED,))
fatal(
    "5.1",
    "half-closed: CONTINUATION",
    headers(1),
    frame(CONTINUATION, END_HEADERS, 1, block(GET)),
    codes=(STREAM_CLOSED, PROTOCOL_ERROR),
)
for _name, _frame in {
    "WINDOW_UPDATE": window_update(1, 2),
    "PRIORITY": priority(1, 0),
    "RST_STREAM": rst_stream(1),
}.items():
    fine("5.1", f"half-closed: {_name}", headers(1), _frame)
for _name, _frame in {
    "DATA": data(1, b"x", end=True),
    "HEADERS": headers(1, POST),
    "trailers": headers(1, (("x", "y"),)),
}.items():
    refused(
        "5.1",
        f"closed by the client's RST_STREAM: {_name}",
        headers(1, POST, end=False),
        rst_stream(1),
        _frame,
        codes=(STREAM_CLOSED,),
    )
fatal(
    "5.1",
    "closed by the client's RST_STREAM: CONTINUATION",
    headers(1, POST, end=False),
    rst_stream(1),
    frame(CONTINUATION, END_HEADERS, 1, block(GET)),
    codes=(STREAM_CLOSED, PROTOCOL_ERROR),
)


def _closed(text: str, *frames: bytes, codes: tuple[int, ...] = ()) -> None:
    """Frames for a stream whose request and response are complete."""

    def run(peer: Peer) -> None:
        peer.send(headers(1))
        served(peer)
        peer.send(*frames)
        if codes:
            connection_error(peer, *codes)
        else:
            alive(peer)

    case("5.1", f"closed: {text}", run)


def _half_closed(text: str, *frames: bytes) -> None:
    """Frames for a stream whose response waits for its window: it comes once that opens."""

    def run(peer: Peer) -> None:
        peer.send(settings((INITIAL_WINDOW, 0)), headers(1), *frames, window_update(1, 1))
        assert len(peer.until(lambda each: each.kind == DATA)[-1].payload) == 1

    case("5.1", f"half-closed, without a window: {text}", run)


_half_closed("WINDOW_UPDATE")
_half_closed("PRIORITY", priority(1, 0, 255))

_closed("DATA", data(1, b"x", end=True), codes=(STREAM_CLOSED,))
_closed("HEADERS", headers(1), codes=(STREAM_CLOSED,))
_closed(
    "CONTINUATION",
    frame(CONTINUATION, END_HEADERS, 1, block(GET)),
    codes=(STREAM_CLOSED, PROTOCOL_ERROR),
)
_closed("PRIORITY", priority(1, 0))
_closed("WINDOW_UPDATE", window_update(1, 2))
_closed("a large WINDOW_UPDATE", window_update(1, (1 << 31) - 1), window_update(1, (1 << 31) - 1))
_closed("RST_STREAM", rst_stream(1))

fatal("5.1.1", "an even stream", headers(2), codes=(PROTOCOL_ERROR,))
fatal("5.1.1", "a stream below the newest", headers(5), headers(3), codes=(PROTOCOL_ERROR,))
fine("5.1.1", "PRIORITY on a higher idle stream", priority(7, 0), headers(1), stream=1)


def _too_many(peer: Peer) -> None:
    # Without an acknowledgement of the server's SETTINGS the limit cannot be counted on.
    count = 200
    streams = range(1, 2 * count + 3, 2)
    peer.send(*(headers(stream, POST, end=False) for stream in streams))
    found = peer.until(lambda each: each.kind in {RST_STREAM, GOAWAY} and each.code != 0)[-1]
    assert found.code in {REFUSED_STREAM, PROTOCOL_ERROR}


def _too_many_blocked(peer: Peer) -> None:
    peer.send(PREFACE, settings((INITIAL_WINDOW, 0)))
    found = peer.until(lambda each: each.kind == SETTINGS and not each.flags & ACK)[-1]
    count = dict(struct.iter_unpack(">HI", found.payload))[MAX_CONCURRENT]
    peer.send(frame(SETTINGS, ACK), *(headers(n) for n in range(1, 2 * count + 2, 2)))
    stream_error(peer, 2 * count + 1, REFUSED_STREAM, PROTOCOL_ERROR)


case("5.1.2", "more streams than SETTINGS_MAX_CONCURRENT_STREAMS", _too_many)
case("5.1.2", "one stream more, whose responses all wait", _too_many_blocked, greeted=False)
fine(
    "5.3",
    "HEADERS with a priority",
    frame(
        HEADERS,
        END_HEADERS | END_STREAM | WITH_PRIORITY,
        1,
        struct.pack(">IB", 0, 255) + block(GET),
    ),
    stream=1,
)
refused(
    "5.3",
    "HEADERS that depend on themselves",
    frame(
        HEADERS,
        END_HEADERS | END_STREAM | WITH_PRIORITY,
        1,
        struct.pack(">IB", 1, 255) + block(GET),
    ),
    codes=(PROTOCOL_ERROR,),
)
refused("5.3", "PRIORITY that depends on itself", priority(1, 1), codes=(PROTOCOL_ERROR,))
fatal(
    "5.4.1",
    "after an error: GOAWAY, then the end",
    frame(PING, 0, 3, bytes(8)),
    codes=(PROTOCOL_ERROR,),
)
fatal(
    "5.5",
    "an unknown frame inside a header block",
    headers(1, flags=0),
    frame(0x16, 0, 1, b"x"),
    frame(CONTINUATION, END_HEADERS, 1, b""),
    codes=(PROTOCOL_ERROR,),
)

# 6 Frame definitions -----------------------------------------------------------------------------

fatal("6.1", "DATA on stream 0", frame(DATA, END_STREAM, 0, b"x"), codes=(PROTOCOL_ERROR,))
fatal(
    "6.1",
    "DATA with more padding than payload",
    headers(1, POST, end=False),
    frame(DATA, END_STREAM | PADDED, 1, b"\x06Test"),
    codes=(PROTOCOL_ERROR,),
)
fatal(
    "6.1",
    "padded DATA without a pad length",
    headers(1, POST, end=False),
    frame(DATA, END_STREAM | PADDED, 1, b""),
    codes=(FRAME_SIZE_ERROR, PROTOCOL_ERROR),
)
fine(
    "6.1",
    "padded DATA",
    headers(1, POST, end=False),
    frame(DATA, END_STREAM | PADDED, 1, b"\x02ok\0\0"),
    stream=1,
)
fatal(
    "6.2",
    "HEADERS, then another frame of the stream",
    headers(1, POST, end=False, flags=0),
    data(1, b"x", end=True),
    codes=(PROTOCOL_ERROR,),
)
fatal("6.2", "HEADERS on stream 0", headers(0), codes=(PROTOCOL_ERROR,))
fatal(
    "6.2",
    "HEADERS with more padding than payload",
    frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\xff" + block(GET)),
    codes=(PROTOCOL_ERROR,),
)
fine(
    "6.2",
    "padded HEADERS",
    frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\x02" + block(GET) + b"\0\0"),
    stream=1,
)
fatal("6.3", "PRIORITY on stream 0", priority(0, 1), codes=(PROTOCOL_ERROR,))
refused(
    "6.3",
    "PRIORITY of another length than 5",
    headers(1, POST, end=False),
    frame(PRIORITY, 0, 1, b"1234"),
    codes=(FRAME_SIZE_ERROR,),
)
refused(
    "6.3",
    "PRIORITY of another length than 5 behind the request",
    headers(1),
    frame(PRIORITY, 0, 1, b"\x80\0\0\1"),
    codes=(FRAME_SIZE_ERROR,),
)
fine("6.3", "PRIORITY with a dependency", priority(3, 1, 0), headers(1), stream=1)
fine("6.3", "exclusive PRIORITY", priority(1, 1 << 31, 0), headers(1), stream=1)
fatal(
    "6.4",
    "RST_STREAM of another length than 4 behind the request",
    headers(1),
    frame(RST_STREAM, 0, 1, b"123"),
    codes=(FRAME_SIZE_ERROR,),
)
fatal("6.4", "RST_STREAM on stream 0", rst_stream(0), codes=(PROTOCOL_ERROR,))
fatal(
    "6.4",
    "RST_STREAM of another length than 4",
    headers(1, POST, end=False),
    frame(RST_STREAM, 0, 1, b"123"),
    codes=(FRAME_SIZE_ERROR,),
)
fatal(
    "6.5",
    "SETTINGS: an ACK with a payload",
    frame(SETTINGS, ACK, 0, b"\0"),
    codes=(FRAME_SIZE_ERROR,),
)
fatal("6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1), codes=(PROTOCOL_ERROR,))
fatal(
    "6.5", "SETTINGS of no multiple of 6", frame(SETTINGS, 0, 0, b"123"), codes=(FRAME_SIZE_ERROR,)
)
fatal("6.5.2", "ENABLE_PUSH of 2", settings((ENABLE_PUSH, 2)), codes=(PROTOCOL_ERROR,))
fatal(
    "6.5.2",
    "INITIAL_WINDOW_SIZE over the maximum",
    settings((INITIAL_WINDOW, 1 << 31)),
    codes=(FLOW_CONTROL_ERROR,),
)
fatal("6.5.2", "MAX_FRAME_SIZE too small", settings((MAX_FRAME, 16383)), codes=(PROTOCOL_ERROR,))
fatal("6.5.2", "MAX_FRAME_SIZE too large", settings((MAX_FRAME, 1 << 24)), codes=(PROTOCOL_ERROR,))
fine("6.5.2", "an unknown setting", settings((0xFF, 1)))
fine(
    "6.5.2",
    "all settings",
    settings((1, 4096), (ENABLE_PUSH, 1), (MAX_CONCURRENT, 100), (INITIAL_WINDOW, 65535)),
    settings((MAX_FRAME, 16384), (6, 100)),
    headers(1),
    stream=1,
)


def _settings_in_order(peer: Peer) -> None:
    peer.send(settings((INITIAL_WINDOW, 100), (INITIAL_WINDOW, 1)), headers(1))
    seen = peer.until(lambda each: each.kind == DATA and each.payload != b"")
    assert any(each.kind == SETTINGS and each.flags & ACK for each in seen)
    assert len(seen[-1].payload) == 1


case("6.5.3", "values in their order, then an ACK", _settings_in_order)
fatal(
    "6.6",
    "PUSH_PROMISE of a client",
    frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block(GET)),
    codes=(PROTOCOL_ERROR,),
)


def _ping(peer: Peer) -> None:
    peer.send(frame(PING, 0, 0, b"h2 ping!"))
    found = peer.until(lambda each: each.kind == PING)[-1]
    assert found.flags & ACK
    assert found.payload == b"h2 ping!"


def _ping_ack(peer: Peer) -> None:
    peer.send(frame(PING, ACK, 0, b"invalid!"), frame(PING, 0, 0, b"h2 ping!"))
    assert peer.until(lambda each: each.kind == PING)[-1].payload == b"h2 ping!"


case("6.7", "PING is answered", _ping)
case("6.7", "the ACK of a PING is not answered", _ping_ack)
fatal("6.7", "PING on a stream", frame(PING, 0, 1, bytes(8)), codes=(PROTOCOL_ERROR,))
fatal(
    "6.7", "PING of another length than 8", frame(PING, 0, 0, b"123456"), codes=(FRAME_SIZE_ERROR,)
)
fatal("6.8", "GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), codes=(PROTOCOL_ERROR,))


def _goaway_unknown(peer: Peer) -> None:
    peer.send(frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0xFF)), frame(PING, 0, 0, bytes(8)))
    while (found := peer.next()) is not None and found.kind != PING:
        assert found.kind != GOAWAY or not found.code


def _goaway(peer: Peer) -> None:
    peer.send(frame(GOAWAY, 0, 0, struct.pack(">II", 0, 0) + b"bye"), frame(PING, 0, 0, bytes(8)))
    while (found := peer.next()) is not None and found.kind != PING:
        assert found.kind != GOAWAY or not found.code
    assert (found is not None and found.flags & ACK) or peer.closed


case("6.8", "GOAWAY", _goaway)
case("7", "GOAWAY with an unknown code", _goaway_unknown)
fine("7", "RST_STREAM with an unknown code", headers(1), rst_stream(1, 0xFF))
refused(
    "6.9",
    "WINDOW_UPDATE by 0 on a stream",
    headers(1, POST, end=False),
    window_update(1, 0),
    codes=(PROTOCOL_ERROR,),
)
fatal("6.9", "WINDOW_UPDATE by 0", window_update(0, 0), codes=(PROTOCOL_ERROR,))
fatal(
    "6.9",
    "WINDOW_UPDATE of another length than 4",
    frame(WINDOW_UPDATE, 0, 0, b"123"),
    codes=(FRAME_SIZE_ERROR,),
)
fatal(
    "6.9.1",
    "the connection's window over the maximum",
    window_update(0, (1 << 31) - 1),
    window_update(0, (1 << 31) - 1),
    codes=(FLOW_CONTROL_ERROR,),
)


def _wide(text: str, *frames: bytes) -> None:
    """Too wide a window of one stream is that stream's affair: no GOAWAY."""

    def run(peer: Peer) -> None:
        peer.send(*frames)
        found = peer.until(lambda each: each.kind in {RST_STREAM, GOAWAY})[-1]
        assert (found.kind, found.stream, found.code) == (RST_STREAM, 1, FLOW_CONTROL_ERROR)
        alive(peer)

    case("6.9.1", f"a stream's window over the maximum {text}", run)


_wide("at once", headers(1, POST, end=False), window_update(1, (1 << 31) - 1))
_wide(
    "by two updates",
    headers(1, POST, end=False),
    window_update(1, (1 << 30) - 1),
    window_update(1, (1 << 31) - 1),
    window_update(1, (1 << 31) - 1),
)
fine("6.9.1", "a wide window", headers(1), window_update(1, (1 << 31) - 1 - 65535), stream=1)


def _one_byte_window(peer: Peer) -> None:
    peer.send(settings((INITIAL_WINDOW, 1)), headers(1))
    assert len(peer.until(lambda each: each.kind == DATA)[-1].payload) == 1


def _changed_window(peer: Peer) -> None:
    peer.send(settings((INITIAL_WINDOW, 0)), headers(1))
    peer.until(lambda each: each.kind == HEADERS)
    peer.send(settings((INITIAL_WINDOW, 1)))
    assert len(peer.until(lambda each: each.kind == DATA)[-1].payload) == 1


def _negative_window(peer: Peer) -> None:
    peer.send(settings((INITIAL_WINDOW, 3)), headers(1))
    assert len(peer.until(lambda each: each.kind == DATA)[-1].payload) == 3
    peer.send(settings((INITIAL_WINDOW, 2)), window_update(1, 2))
    assert len(peer.until(lambda each: each.kind == DATA)[-1].payload) == 1


case("6.9.1", "no more DATA than the window allows", _one_byte_window)
case("6.9.2", "INITIAL_WINDOW_SIZE changes open streams' windows", _changed_window)
case("6.9.2", "a window may become negative", _negative_window)
_BLOCK = block(GET)
fine(
    "6.10",
    "a header block cut inside its fields",
    frame(HEADERS, END_STREAM, 1, _BLOCK[:5]),
    frame(CONTINUATION, 0, 1, _BLOCK[5:10]),
    frame(CONTINUATION, END_HEADERS, 1, _BLOCK[10:]),
    stream=1,
)
fine(
    "6.10",
    "CONTINUATION frames",
    headers(1, flags=0),
    frame(CONTINUATION, 0, 1, block((("a", "b"),))),
    frame(CONTINUATION, END_HEADERS, 1, block((("c", "d"),))),
    stream=1,
)
fatal(
    "6.10",
    "CONTINUATION, then another frame",
    headers(1, POST, end=False, flags=0),
    frame(CONTINUATION, 0, 1, b""),
    data(1, b"x", end=True),
    codes=(PROTOCOL_ERROR,),
)
fatal(
    "6.10",
    "CONTINUATION on stream 0",
    headers(1, flags=0),
    frame(CONTINUATION, END_HEADERS, 0, b""),
    codes=(PROTOCOL_ERROR,),
)
fatal(
    "6.10",
    "CONTINUATION behind END_HEADERS",
    headers(1, POST, end=False),
    frame(CONTINUATION, END_HEADERS, 1, b""),
    codes=(PROTOCOL_ERROR,),
)
fatal(
    "6.10",
    "CONTINUATION behind a CONTINUATION with END_HEADERS",
    headers(1, flags=0),
    frame(CONTINUATION, END_HEADERS, 1, block((("a", "b"),))),
    frame(CONTINUATION, END_HEADERS, 1, block((("a", "b"),))),
    codes=(PROTOCOL_ERROR,),
)
fatal(
    "6.10",
    "CONTINUATION behind DATA",
    headers(1, POST, end=False),
    data(1, b"x"),
    frame(CONTINUATION, END_HEADERS, 1, b""),
    codes=(PROTOCOL_ERROR,),
)

# 8 Messages --------------------------------------------------------------------------------------

for _method in ("GET", "HEAD", "POST", "OPTIONS", "PURGE"):
    fine("8.1", f"a {_method} request", headers(1, replaced(method=_method)), stream=1)
fine("8.1", "OPTIONS *", headers(1, replaced(method="OPTIONS", path="*")), stream=1)
fine(
    "8.1",
    "trailers",
    headers(1, with_(("trailer", "x-sum"), of=POST), end=False),
    data(1, b"x"),
    headers(1, (("x-sum", "1"),)),
    stream=1,
)
refused(
    "8.1",
    "a second HEADERS without END_STREAM",
    headers(1, POST, end=False),
    headers(1, (("x", "y"),), end=False),
    codes=(PROTOCOL_ERROR,),
)
malformed("8.2.1", "upper case in a name", with_(("X-Test", "ok")))
malformed("8.2.1", "a space in a name", with_(("x test", "ok")))
malformed("8.2.1", "a colon in a name", with_(("x:test", "ok")))
malformed("8.2.1", "an empty name", with_(("", "ok")))
malformed("8.2.1", "a control character in a name", with_(("x\x7f", "ok")))
malformed("8.2.1", "CR in a value", with_(("x-test", "a\rb")))
malformed("8.2.1", "LF in a value", with_(("x-test", "a\nb")))
malformed("8.2.1", "NUL in a value", with_(("x-test", "a\0b")))
malformed("8.2.1", "a space before a value", with_(("x-test", " a")))
malformed("8.2.1", "a tab behind a value", with_(("x-test", "a\t")))
for _name, _value in {
    "connection": "keep-alive",
    "keep-alive": "timeout=5",
    "proxy-connection": "keep-alive",
    "transfer-encoding": "chunked",
    "upgrade": "h2c",
    "te": "trailers, deflate",
}.items():
    malformed("8.2.2", f"{_name}: {_value}", with_((_name, _value)))
malformed("8.2.2", "te: gzip", with_(("te", "gzip")))
fine("8.2.2", "te: trailers", headers(1, with_(("te", "trailers"))), stream=1)
malformed("8.3", "an unknown pseudo-header", with_((":test", "ok")))
malformed("8.3", "a response's pseudo-header", with_((":status", "200")))
malformed("8.3", "a pseudo-header behind a field", (*GET[:3], ("x", "y"), GET[3]))
refused(
    "8.3",
    "a pseudo-header in trailers",
    headers(1, POST, end=False),
    headers(1, ((":method", "GET"),)),
    codes=(PROTOCOL_ERROR,),
)
refused(
    "8.3",
    "a pseudo-header in a second HEADERS without END_STREAM",
    headers(1, POST, end=False),
    data(1, b"test"),
    headers(1, ((":method", "POST"),), end=False),
    codes=(PROTOCOL_ERROR,),
)
for _missing in (":method", ":scheme", ":path"):
    malformed("8.3.1", f"no {_missing}", without(_missing))
for _twice in GET:
    malformed("8.3.1", f"{_twice[0]} twice", (*GET, _twice))


def _small_method(peer: Peer) -> None:
    peer.send(headers(1, replaced(method="get")))
    assert peer.response(1)[0] in {"400", "405", "501"}
    alive(peer)


case("8.3.1", "a method in small letters is no GET", _small_method)
malformed("8.3.1", "an empty :path", replaced(path=""))
malformed("8.3.1", "a :path that is no path", replaced(path="index.html"))
malformed("8.3.1", "a :path with a fragment", replaced(path="/a#b"))
malformed("8.3.1", "GET *", replaced(path="*"))
malformed("8.3.1", "an empty :method", replaced(method=""))
malformed("8.3.1", "userinfo in :authority", replaced(authority="me@localhost"))
malformed("8.3.1", "an :authority that is none", replaced(authority="a b"))
malformed("8.3.1", "Host differs from :authority", with_(("host", "elsewhere")))
malformed("8.3.1", "neither :authority nor Host", without(":authority"))
malformed(
    "8.3.1",
    "Host twice",
    with_(("host", "localhost"), ("host", "localhost"), of=without(":authority")),
)
fine(
    "8.3.1",
    "Host alone",
    headers(1, with_(("host", "localhost"), of=without(":authority"))),
    stream=1,
)
fine("8.3.1", "Host beside :authority", headers(1, with_(("host", "LOCALHOST"))), stream=1)
for _text, _fields, _frames in (
    ("content-length over DATA", (("content-length", "4"),), (data(1, b"abc", end=True),)),
    ("content-length under DATA", (("content-length", "1"),), (data(1, b"test", end=True),)),
    (
        "content-length under two DATA",
        (("content-length", "1"),),
        (data(1, b"te"), data(1, b"st", end=True)),
    ),
    ("two content-lengths", (("content-length", "1"), ("content-length", "2")), ()),
    ("content-length that is no number", (("content-length", "1x"),), ()),
):
    refused(
        "8.1.1",
        _text,
        headers(1, with_(*_fields, of=POST), end=False),
        *_frames,
        codes=(PROTOCOL_ERROR,),
    )
malformed("8.1.1", "content-length without DATA", with_(("content-length", "4"), of=POST))
malformed(
    "8.5", "CONNECT with :path", ((":method", "CONNECT"), (":authority", "a:1"), (":path", "/"))
)
malformed("8.5", "CONNECT without :authority", ((":method", "CONNECT"),))


def _connect(peer: Peer) -> None:
    peer.send(headers(1, ((":method", "CONNECT"), (":authority", "a:1")), end=False))
    status, _ = peer.response(1)
    assert status == "501"
    alive(peer)


case("8.5", "CONNECT is answered with 501", _connect)
malformed(
    "RFC 8441",
    "extended CONNECT without :path",
    ((":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a")),
)
malformed("RFC 8441", ":protocol with GET", with_((":protocol", "websocket")))

# 10 Floods ---------------------------------------------------------------------------------------

_MANY = 5000
fatal("10.5", "a flood of PING", frame(PING, 0, 0, bytes(8)) * _MANY, codes=(ENHANCE_YOUR_CALM,))
fatal("10.5", "a flood of SETTINGS", settings() * _MANY, codes=(ENHANCE_YOUR_CALM,))
fatal(
    "10.5",
    "a flood of empty DATA",
    headers(1, POST, end=False) + data(1) * _MANY,
    codes=(ENHANCE_YOUR_CALM,),
)
fatal(
    "10.5",
    "a flood of DATA with nothing but padding",
    headers(1, POST, end=False) + frame(DATA, PADDED, 1, b"\1\0") * _MANY,
    codes=(ENHANCE_YOUR_CALM,),
)
fatal("10.5", "a flood of PRIORITY", priority(1, 0) * _MANY, codes=(ENHANCE_YOUR_CALM,))
fatal(
    "10.5",
    "rapid reset",
    *(headers(n) + rst_stream(n) for n in range(1, 2 * _MANY, 2)),
    codes=(ENHANCE_YOUR_CALM,),
)
fatal(
    "10.5",
    "a flood of CONTINUATION",
    headers(1, flags=0) + frame(CONTINUATION, 0, 1, b"") * _MANY,
    codes=(ENHANCE_YOUR_CALM,),
)


def _header_bomb(peer: Peer) -> None:
    entry = b"\x40" + integer(1, 7) + b"x" + integer(4000, 7) + b"a" * 4000
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block(GET) + entry + b"\xbe" * 8000))
    connection_error(peer, ENHANCE_YOUR_CALM)


def _large_header(peer: Peer) -> None:
    fields = with_(*((f"x-{n}", "a" * 8000) for n in range(10)))
    text = block(fields)
    parts = [text[start : start + 16000] for start in range(0, len(text), 16000)]
    peer.send(
        frame(HEADERS, END_STREAM, 1, parts[0]),
        *(frame(CONTINUATION, 0, 1, part) for part in parts[1:]),
        frame(CONTINUATION, END_HEADERS, 1, b""),
    )
    assert peer.response(1)[0] == "431"
    alive(peer)


case("10.5.1", "a header bomb", _header_bomb)
case("10.5.1", "a header over SETTINGS_MAX_HEADER_LIST_SIZE", _large_header)

# RFC 7541 ----------------------------------------------------------------------------------------


def hpack(text: str, payload: bytes, *, good: bool = False) -> None:
    """A header block: answered, or the end of the connection."""
    request = frame(HEADERS, END_HEADERS | END_STREAM, 1, payload)
    if good:
        fine("RFC 7541", text, request, stream=1)
    else:
        fatal("RFC 7541", text, request, codes=(COMPRESSION_ERROR,))


_REST = b"\x86\x84\x01\x09localhost"
hpack("indexed fields", b"\x82" + _REST, good=True)
hpack("index 0", b"\x82" + _REST + b"\x80")
hpack("an index beyond both tables", b"\x82" + _REST + b"\xff\x80\x01")
hpack("a literal's index beyond both tables", b"\x82" + _REST + b"\x7f\x80\x01\x01a")
hpack("a table size update at the end", b"\x82" + _REST + b"\x20")
hpack("a table size update over the setting", integer(4097, 5, 0x20) + b"\x82" + _REST)
hpack("two table size updates", b"\x20\x3f\xe1\x1f\x82" + _REST, good=True)
hpack("an integer without end", b"\x82" + _REST + b"\x7f" + b"\xff" * 12)
hpack("Huffman padding over 7 bits", b"\x82" + _REST + _HUFFMAN_NAME + b"\x84\x49\x50\x9f\xff")
hpack("Huffman padding of zeros", b"\x82" + _REST + _HUFFMAN_NAME + b"\x83\x49\x50\x90")
hpack(
    "EOS in a Huffman string",
    b"\x82" + _REST + _HUFFMAN_NAME + b"\x87\x49\x51\xff\xff\xff\xfa\x7f",
)
hpack(
    "EOS at the start of a Huffman string",
    b"\x82" + _REST + _HUFFMAN_NAME[:-1] + b"\x87\xff\xff\xff\xfd\x25\x42\x7f",
)
for _hpack_first in b"\x40\x00\x10":
    for _hpack_text, _hpack_field in (
        ("indexed name", bytes((_hpack_first | 0xF if _hpack_first != 0x40 else 0x7A,))),
        ("new name", bytes((_hpack_first,)) + b"\x06x-test"),
        ("Huffman coded name", bytes((_hpack_first,)) + _HUFFMAN_NAME[1:]),
    ):
        # Index 58 is user-agent: all of a prefix of 6 bits, 15 + 43 of one of 4.
        _hpack_index = b"\x2b" if _hpack_text == "indexed name" and _hpack_first != 0x40 else b""
        for _hpack_coded, _hpack_value in (
            ("", b"\x06h2spec"),
            (", Huffman coded", b"\x84\x9c\x48\xac\xa4"),
        ):
            hpack(
                f"{_hpack_text}, representation {_hpack_first:#04x}{_hpack_coded}",
                b"\x82" + _REST + _hpack_field + _hpack_index + _hpack_value,
                good=True,
            )
hpack("an indexed field of the static table", b"\x82" + _REST + b"\xba", good=True)
hpack("a string that is longer than the block", b"\x82" + _REST + b"\x00\x01a\x7fb")
hpack("an indexed, a literal and a new entry", b"\x82" + _REST + b"\x40\x01a\x01b\xbe", good=True)
hpack("a never indexed literal", b"\x82" + _REST + b"\x10\x01a\x01b", good=True)
