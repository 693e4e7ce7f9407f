"""Conversations with a WebSocket client, in bytes (RFC 6455 sections 5 to 8, RFC 7692)."""

from __future__ import annotations

import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.protocol import Protocol, Side

from seaway.protocol.events import Close, Message, MessageViolation, Ping, Pong
from seaway.protocol.websocket.connection import WebSocketConnection
from seaway.protocol.websocket.deflate import DeflateParameters, text_framing
from seaway.protocol.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    text_frame,
)

from .peer import FIN, MASK, RSV1, deflated, frame

LIMIT = 1000
MORE = 0  # the first byte's FIN bit is not set: more frames follow


def plain() -> WebSocketConnection:
    return WebSocketConnection(LIMIT)


def deflating() -> WebSocketConnection:
    return WebSocketConnection(LIMIT, DeflateParameters())


def violation(data: bytes, connection: WebSocketConnection | None = None) -> int:
    """The close code with which the last event of ``data`` refuses it."""
    connection = connection or plain()
    *_, last = connection.receive(data)
    assert isinstance(last, MessageViolation), last
    assert last.reason
    assert connection.receive(frame(TEXT, b"after")) == []
    assert not connection.message_pending
    return last.code


# Messages ----------------------------------------------------------------------------------------


def test_the_masked_example_of_rfc6455_5_7() -> None:
    data = bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58")
    assert plain().receive(data) == [Message("Hello")]


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, LIMIT])
def test_messages_of_every_length_form_rfc6455_5_2(size: int) -> None:
    data = b"x" * size
    stream = frame(TEXT, data) + frame(BINARY, data)
    assert plain().receive(stream) == [Message(data.decode()), Message(data)]


def test_a_message_of_64_bits_of_length_rfc6455_5_2() -> None:
    data = b"x" * 70_000
    assert WebSocketConnection(70_000).receive(frame(BINARY, data)) == [Message(data)]


def test_many_messages_at_once() -> None:
    stream = b"".join(frame(TEXT, b"%d" % n) for n in range(50))
    assert plain().receive(stream) == [Message(str(n)) for n in range(50)]


def test_fragments_make_one_message_rfc6455_5_4() -> None:
    connection = plain()
    assert connection.receive(frame(TEXT, b"Hel", first=MORE)) == []
    assert connection.message_pending
    assert connection.receive(frame(CONTINUATION, b"", first=MORE)) == []
    assert connection.receive(frame(CONTINUATION, b"lo")) == [Message("Hello")]
    assert not connection.message_pending
    assert connection.receive(frame(TEXT, b"next")) == [Message("next")]


def test_controls_between_fragments_rfc6455_5_4() -> None:
    stream = frame(BINARY, b"a", first=MORE) + frame(PING, b"?") + frame(CONTINUATION, b"b")
    assert plain().receive(stream) == [Ping(b"?"), Message(b"ab")]


def test_pings_and_pongs_rfc6455_5_5() -> None:
    stream = frame(PING) + frame(PONG, b"x" * 125)
    assert plain().receive(stream) == [Ping(b""), Pong(b"x" * 125)]


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        (b"", Close(1005)),
        (b"\x03\xe8", Close(1000)),
        (b"\x0f\xa0" + "wégue".encode(), Close(4000, "wégue")),
    ],
)
def test_nothing_follows_a_close_frame_rfc6455_5_5_1(payload: bytes, event: Close) -> None:
    connection = plain()
    stream = frame(TEXT, b"a") + frame(CLOSE, payload) + frame(TEXT, b"b")
    assert connection.receive(stream) == [Message("a"), event]
    assert connection.receive(frame(TEXT, b"c")) == []


# Violations --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x05Hello",  # no mask, section 5.1
        frame(TEXT, first=FIN | 0x20),
        frame(TEXT, first=FIN | 0x10),
        frame(TEXT, first=FIN | RSV1),
        *[frame(opcode) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
        frame(PING, b"x" * 126),
        frame(PING, b"x", width=2),
        frame(PING, b"x", first=MORE),
        frame(CLOSE, b"", first=MORE),
        frame(CONTINUATION, b"x"),
        frame(CONTINUATION, b"x", first=MORE),
        frame(TEXT, b"x", first=MORE) + frame(TEXT, b"y"),
        frame(TEXT, b"x", first=MORE) + frame(BINARY, b"y", first=MORE),
        frame(TEXT, b"x", width=2),
        frame(TEXT, b"x" * 125, width=2),
        frame(TEXT, b"x" * 200, width=8),
        b"\x82\xff\x80" + bytes(7) + MASK,  # the highest bit of a 64-bit length
        frame(CLOSE, b"\x03"),
        frame(CLOSE, (1005).to_bytes(2, "big")),
        frame(CLOSE, (2999).to_bytes(2, "big")),
    ],
)
def test_what_breaks_the_framing_rfc6455_5(data: bytes) -> None:
    assert violation(data) == 1002


@pytest.mark.parametrize(
    "data",
    [
        frame(TEXT, b"\xff"),
        frame(TEXT, b"\xce\xba\xed\xa0\x80"),  # a surrogate
        frame(TEXT, "é".encode()[:1]),
        frame(TEXT, b"x" * 200 + b"\xc0\x80"),
        frame(CLOSE, b"\x03\xe8\xff"),
    ],
)
def test_text_is_utf8_rfc6455_8_1(data: bytes) -> None:
    assert violation(frame(TEXT, b"fine") + data) == 1007


def test_invalid_text_is_refused_in_the_fragment_where_it_shows_rfc6455_8_1() -> None:
    connection = plain()
    start, bad = "κό".encode()[:3], b"\xff"
    assert connection.receive(frame(TEXT, start, first=MORE)) == []
    assert violation(frame(CONTINUATION, bad, first=MORE), connection) == 1007


@pytest.mark.parametrize("opcode", [TEXT, CONTINUATION])
def test_invalid_text_is_refused_before_its_frame_is_complete_rfc6455_8_1(opcode: int) -> None:
    connection = plain()
    if opcode == CONTINUATION:
        connection.receive(frame(TEXT, b"Hello ", first=MORE))
    whole = frame(opcode, "κόσμε".encode() + b"\xf4\x90\x80\x80edited")
    assert connection.receive(whole[:17]) == []
    assert violation(whole[17:19], connection) == 1007


def test_a_long_frame_in_many_segments_takes_no_more_memory_than_the_message() -> None:
    size = 1 << 20
    connection = WebSocketConnection(size)
    data = frame(BINARY, b"x" * size)
    tracemalloc.start()
    try:
        events = [
            event
            for at in range(0, len(data), 5000)
            for event in connection.receive(data[at : at + 5000])
        ]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert events == [Message(b"x" * size)]
    assert not connection.message_pending
    # The bytes as they came, and the message made of them; half as much again while it grows.
    assert peak < 2.6 * size


def test_a_character_may_span_fragments_but_must_end_rfc6455_8_1() -> None:
    euro = "€".encode()
    first, second = frame(TEXT, euro[:1], first=MORE), frame(CONTINUATION, euro[1:])
    assert plain().receive(first + second) == [Message("€")]
    assert violation(first + frame(CONTINUATION, euro[1:2])) == 1007


def test_a_message_is_refused_by_its_header_rfc6455_10_4() -> None:
    assert violation(b"\x82\xfe" + (LIMIT + 1).to_bytes(2, "big")) == 1009
    assert violation(b"\x82\xff" + (1 << 40).to_bytes(8, "big")) == 1009
    assert violation(frame(TEXT, b"x" * 11), WebSocketConnection(10)) == 1009


def test_fragments_count_together_rfc6455_10_4() -> None:
    stream = frame(TEXT, b"x" * 600, first=MORE) + frame(CONTINUATION, b"x" * 400, first=MORE)
    assert plain().receive(stream + frame(CONTINUATION)) == [Message("x" * LIMIT)]
    assert violation(stream + frame(CONTINUATION, b"x", first=MORE)) == 1009


def test_many_small_fragments_take_no_more_memory_than_the_message() -> None:
    piece = frame(CONTINUATION, b"x", first=MORE) + frame(CONTINUATION, b"", first=MORE)
    connection = WebSocketConnection(10_000)
    connection.receive(frame(TEXT, b"", first=MORE))
    stream = piece * 10_000
    tracemalloc.start()
    try:
        connection.receive(stream)
        held, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 30_000
    assert connection.receive(frame(CONTINUATION)) == [Message("x" * 10_000)]


# Compression -------------------------------------------------------------------------------------


def test_compressed_messages_rfc7692_7_2_2() -> None:
    stream = frame(TEXT, deflated(b"Hello"), first=FIN | RSV1)
    stream += frame(BINARY, deflated(b"\0" * LIMIT), first=FIN | RSV1)
    stream += frame(TEXT, b"plain")
    assert deflating().receive(stream) == [
        Message("Hello"),
        Message(bytes(LIMIT)),
        Message("plain"),
    ]


def test_a_compressed_message_in_fragments_rfc7692_6_1() -> None:
    data = deflated("κόσμε".encode() * 20)
    stream = frame(TEXT, data[:5], first=RSV1) + frame(PING)
    stream += frame(CONTINUATION, data[5:9], first=MORE) + frame(CONTINUATION, data[9:])
    assert deflating().receive(stream) == [Ping(), Message("κόσμε" * 20)]


@pytest.mark.parametrize("opcode", [CONTINUATION, PING, PONG, CLOSE])
def test_rsv1_only_starts_messages_rfc7692_6_1(opcode: int) -> None:
    stream = frame(TEXT, deflated(b"x"), first=RSV1) + frame(opcode, first=FIN | RSV1)
    assert violation(stream, deflating()) == 1002


@pytest.mark.parametrize(
    ("payload", "code"),
    [(deflated(bytes(LIMIT + 1)), 1009), (b"\xff\xff\xff", 1007), (deflated(b"\xff"), 1007)],
)
def test_compressed_messages_that_are_refused(payload: bytes, code: int) -> None:
    assert violation(frame(TEXT, payload, first=FIN | RSV1), deflating()) == code


def test_what_does_not_compress_may_grow_up_to_the_limit() -> None:
    payload = bytes(range(256)) * 3 + bytes(range(LIMIT - 768))[::-1]
    grown = (
        b"\x00"
        + len(payload).to_bytes(2, "little")
        + (~len(payload) & 0xFFFF).to_bytes(2, "little")
    )
    data = grown + payload + b"\x00"
    assert len(data) > LIMIT
    assert deflating().receive(frame(BINARY, data, first=FIN | RSV1)) == [Message(payload)]


# Sending -----------------------------------------------------------------------------------------


def test_events_become_frames() -> None:
    connection = plain()
    assert connection.send(Message("é")) == b"\x81\x02\xc3\xa9"
    assert connection.send(Message(b"\0")) == b"\x82\x01\0"
    assert connection.send(Ping(b"a")) == b"\x89\x01a"
    assert connection.send(Pong(b"a")) == b"\x8a\x01a"
    assert connection.send(Close(4000, "x")) == b"\x88\x03\x0f\xa0x"
    with pytest.raises(ValueError, match="surrogates"):
        connection.send(Message("\ud800"))


def test_messages_are_compressed_where_agreed() -> None:
    connection = deflating()
    assert connection.send(Message("x" * 1000))[0] == 0xC1
    assert connection.send(Message(b"x" * 1000))[0] == 0xC2


def test_the_framing_is_shared_between_connections() -> None:
    assert plain().framing is text_frame
    assert deflating().framing is deflating().framing is text_framing(DeflateParameters())


def test_an_idle_connection_is_small() -> None:
    connections = [plain() for _ in range(100)]
    assert sum(map(sys.getsizeof, connections)) / 100 < 400
    for connection in connections:
        connection.receive(frame(TEXT, b"a") + frame(TEXT, b"b", first=MORE))
        connection.receive(frame(CONTINUATION, b"c"))
        assert (connection._buffer, connection._arriving) == (None, None)


# Properties --------------------------------------------------------------------------------------

PAYLOADS = st.one_of(
    st.text(max_size=60).map(str.encode), st.just(b"x" * 130), st.just(b"y" * LIMIT)
)
CONTROLS = st.lists(
    st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=20)), max_size=2
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """One message in one to three frames, with controls between them."""
    opcode, payload = draw(st.sampled_from([TEXT, BINARY])), draw(PAYLOADS)
    rsv1 = RSV1 if draw(st.booleans()) else 0
    payload = deflated(payload) if rsv1 else payload
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=2)))
    parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    stream = b""
    for number, part in enumerate(parts):
        fin = FIN if number == len(parts) - 1 else 0
        first = fin | (rsv1 if number == 0 else 0)
        stream += frame(CONTINUATION if number else opcode, part, first=first)
        if not fin:
            stream += b"".join(draw(CONTROLS))
    return stream


def cut(stream: bytes, data: st.DataObject) -> list[bytes]:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@given(st.lists(messages(), min_size=1, max_size=4).map(b"".join), st.binary(max_size=9), st.data())
def test_any_split_gives_the_same_events(stream: bytes, tail: bytes, data: st.DataObject) -> None:
    stream += tail  # may well break the protocol
    connection = deflating()
    events = [event for piece in cut(stream, data) for event in connection.receive(piece)]
    assert events == deflating().receive(stream)


@given(st.lists(st.binary(max_size=30)), st.booleans())
def test_random_bytes_end_in_a_violation_at_worst(pieces: list[bytes], deflate: bool) -> None:
    connection = deflating() if deflate else plain()
    events = [event for piece in pieces for event in connection.receive(piece)]
    assert not any(isinstance(event, (MessageViolation, Close)) for event in events[:-1])


@given(st.lists(st.one_of(st.text(), st.binary()), max_size=5), st.data())
def test_what_a_client_of_another_make_sends_arrives(
    sent: list[str | bytes], data: st.DataObject
) -> None:
    client = Protocol(Side.CLIENT)
    for message in sent:
        if isinstance(message, str):
            client.send_text(message.encode())
        else:
            client.send_binary(message)
    connection = WebSocketConnection(1 << 20)
    pieces = cut(b"".join(client.data_to_send()), data)
    events = [event for piece in pieces for event in connection.receive(piece)]
    assert events == [Message(message) for message in sent]


@given(st.lists(st.one_of(st.text(), st.binary(), st.just("x" * 2000)), max_size=5), st.booleans())
def test_what_we_send_arrives_at_a_client_of_another_make(
    sent: list[str | bytes], deflate: bool
) -> None:
    connection = deflating() if deflate else plain()
    client = Protocol(Side.CLIENT)
    client.extensions = [PerMessageDeflate(True, True, 15, 15)] if deflate else []
    for message in sent:
        client.receive_data(connection.send(Message(message)))
    frames = [event for event in client.events_received() if isinstance(event, Frame)]
    received = [bytes(f.data).decode() if f.opcode == TEXT else bytes(f.data) for f in frames]
    assert client.parser_exc is None
    assert received == sent
