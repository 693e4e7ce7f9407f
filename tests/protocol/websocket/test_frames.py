"""Frames that a server sends (RFC 6455 section 5)."""

import pytest

from seaway.protocol.websocket.frames import (
    BINARY,
    CONTINUATION,
    TEXT,
    binary_frame,
    close_frame,
    encode_frame,
    is_valid_close_code,
    ping_frame,
    pong_frame,
    text_frame,
)


def test_the_examples_of_rfc6455_5_7() -> None:
    assert text_frame(b"Hello") == bytes.fromhex("81 05 48 65 6c 6c 6f")
    assert encode_frame(TEXT, b"Hel", fin=False) == bytes.fromhex("01 03 48 65 6c")
    assert encode_frame(CONTINUATION, b"lo") == bytes.fromhex("80 02 6c 6f")
    assert ping_frame(b"Hello") == bytes.fromhex("89 05 48 65 6c 6c 6f")
    assert pong_frame(b"Hello") == bytes.fromhex("8a 05 48 65 6c 6c 6f")
    assert binary_frame(b"x" * 256) == bytes.fromhex("82 7e 0100") + b"x" * 256
    assert binary_frame(b"x" * 65536) == bytes.fromhex("82 7f 0000000000010000") + b"x" * 65536


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f" + (65536).to_bytes(8, "big")),
    ],
)
def test_lengths_take_the_shortest_form_rfc6455_5_2(size: int, head: bytes) -> None:
    assert text_frame(b"x" * size) == head + b"x" * size


def test_a_compressed_frame_has_rsv1_rfc7692_6_1() -> None:
    assert encode_frame(BINARY, b"", rsv1=True) == b"\xc2\x00"


def test_close_frames_rfc6455_5_5_1() -> None:
    assert close_frame() == close_frame(1005) == b"\x88\x00"
    assert close_frame(1000, "bye") == b"\x88\x05\x03\xe8bye"


def test_a_long_reason_is_cut_between_characters_rfc6455_5_5() -> None:
    assert close_frame(1000, "é" * 62) == b"\x88\x7c\x03\xe8" + "é".encode() * 61
    assert close_frame(4000, "x" * 124) == b"\x88\x7d\x0f\xa0" + b"x" * 123
    assert close_frame(4000, "\ud800") == b"\x88\x03\x0f\xa0?"


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1011, 1012, 1014, 3000, 4999])
def test_codes_for_the_wire_rfc6455_7_4(code: int) -> None:
    assert is_valid_close_code(code)


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_codes_that_must_not_be_sent_rfc6455_7_4(code: int) -> None:
    with pytest.raises(ValueError, match="must not be sent"):
        close_frame(code)


def test_control_frames_are_short_rfc6455_5_5() -> None:
    assert ping_frame(b"x" * 125)[:2] == b"\x89\x7d"
    with pytest.raises(ValueError, match="at most 125 bytes, not 126"):
        ping_frame(b"x" * 126)
    with pytest.raises(ValueError, match="at most 125 bytes, not 126"):
        pong_frame(b"x" * 126)
