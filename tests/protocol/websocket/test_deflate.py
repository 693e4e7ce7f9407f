"""permessage-deflate without context takeover (RFC 7692)."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from seaway.exceptions import ProtocolError
from seaway.protocol.websocket.deflate import (
    THRESHOLD_BYTES,
    DeflateParameters,
    binary_framing,
    compress,
    inflate,
    text_framing,
)

from .peer import deflated

LONG = b'{"seat": 12, "state": "held"}' * 20


def test_the_example_of_rfc7692_7_2_3_1() -> None:
    assert compress(b"Hello") == bytes.fromhex("f2 48 cd c9 c9 07 00")
    assert inflate(bytes.fromhex("f2 48 cd c9 c9 07 00"), 5) == b"Hello"


def test_two_blocks_in_one_message_rfc7692_7_2_3_5() -> None:
    assert inflate(bytes.fromhex("f2 48 05 00 00 00 ff ff ca c9 c9 07 00"), 5) == b"Hello"


def test_no_compression_inside_rfc7692_7_2_3_3() -> None:
    assert inflate(bytes.fromhex("00 05 00 fa ff 48 65 6c 6c 6f 00"), 5) == b"Hello"


def test_a_final_block_rfc7692_7_2_3_4() -> None:
    assert inflate(bytes.fromhex("f3 48 cd c9 c9 07 00 00"), 5) == b"Hello"
    with pytest.raises(ProtocolError, match="after its final block") as refusal:
        inflate(bytes.fromhex("f3 48 cd c9 c9 07 00 00 f3 48 cd c9 c9 07 00 00"), 10)
    assert refusal.value.close_code == 1007


def test_an_empty_message_rfc7692_7_2_3_6() -> None:
    assert inflate(b"\x00", 0) == b""
    assert inflate(compress(b""), 0) == b""


def test_a_short_message_goes_out_as_it_is() -> None:
    payload = LONG[: THRESHOLD_BYTES - 1]
    assert text_framing(DeflateParameters())(payload) == b"\x81\x7e\x00\xff" + payload


def test_a_message_that_does_not_shrink_goes_out_as_it_is() -> None:
    payload = compress(bytes(range(256)) * 2)
    assert len(payload) >= THRESHOLD_BYTES
    assert binary_framing(DeflateParameters())(payload)[0] == 0x82


def test_a_long_message_is_compressed() -> None:
    frame = text_framing(DeflateParameters())(LONG)
    assert frame[0] == 0xC1
    assert len(frame) < len(LONG) / 5
    assert inflate(frame[2:], len(LONG)) == LONG


def test_connections_with_equal_windows_share_one_framing() -> None:
    framing = text_framing(DeflateParameters())
    assert text_framing(DeflateParameters(15)) is framing
    assert text_framing(DeflateParameters(12)) is framing
    assert text_framing(DeflateParameters(9)) is not framing
    assert binary_framing(DeflateParameters()) is not framing


@pytest.mark.parametrize("bits", range(9, 16))
def test_the_window_agreed_to_is_kept_rfc7692_7_1_2_1(bits: int) -> None:
    # Repeats lie 600 bytes apart: out of reach of the smallest window, whose peer must not see any.
    payload = bytes(range(33, 127)) * 7
    frame = text_framing(DeflateParameters(bits))(payload + b"-" * 600 + payload)
    assert frame[0] == 0xC1
    inflater = zlib.decompressobj(-bits)
    assert inflater.decompress(frame[4 if frame[1] == 126 else 2 :] + b"\x00\x00\xff\xff") == (
        payload + b"-" * 600 + payload
    )


@pytest.mark.parametrize("limit", [0, 1, 579, len(LONG) - 1])
def test_a_bomb_is_refused_under_its_limit_rfc6455_10_4(limit: int) -> None:
    with pytest.raises(ProtocolError, match=f"over {limit} bytes") as refusal:
        inflate(deflated(LONG), limit)
    assert refusal.value.close_code == 1009


def test_a_bomb_is_not_inflated_any_further_than_the_limit() -> None:
    bomb = deflated(bytes(50_000_000))
    assert len(bomb) < 60_000
    with pytest.raises(ProtocolError, match="over 1000 bytes"):
        inflate(bomb, 1000)


def test_garbage_is_refused() -> None:
    with pytest.raises(ProtocolError, match="does not inflate") as refusal:
        inflate(b"\xff\xff\xff", 100)
    assert refusal.value.close_code == 1007


@given(st.binary(max_size=2000), st.integers(9, 15))
def test_websockets_reads_what_we_compress(payload: bytes, bits: int) -> None:
    reader = PerMessageDeflate(True, True, bits, 15)
    frame = Frame(Opcode.BINARY, compress(payload, bits), rsv1=True)
    assert reader.decode(frame).data == payload


@given(st.binary(max_size=2000))
def test_we_read_what_websockets_compresses(payload: bytes) -> None:
    writer = PerMessageDeflate(True, True, 15, 15)
    assert inflate(bytes(writer.encode(Frame(Opcode.BINARY, payload)).data), 2000) == payload


@given(st.binary(max_size=200))
def test_random_bytes_inflate_or_are_refused(payload: bytes) -> None:
    try:
        message = inflate(payload, 50)
    except ProtocolError as error:
        message = b""
        code = error.close_code
    else:
        code = 1000
    assert len(message) <= 50
    assert code in {1000, 1007, 1009}
