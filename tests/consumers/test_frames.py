"""Text messages framed once for all."""

from seaway.consumers.frames import framed
from seaway.protocol.websocket.frames import text_frame


def test_the_same_text_is_framed_once() -> None:
    made: list[bytes] = []

    def framing(message: bytes) -> bytes:
        made.append(message)
        return text_frame(message)

    assert framed(framing, "hello") is framed(framing, "hello")
    assert framed(framing, "other") == text_frame(b"other")
    assert made == [b"hello", b"other"]


def test_what_is_kept_is_bounded() -> None:
    made: list[bytes] = []

    def framing(message: bytes) -> bytes:
        made.append(message)
        return text_frame(message)

    for _ in range(2):
        for number in range(1000):
            assert framed(framing, str(number)) == text_frame(b"%d" % number)
    assert len(made) > 1900
    large = "x" * 100_000
    assert framed(framing, large) == framed(framing, large)
    assert made[-2:] == [large.encode()] * 2


def test_a_frame_is_of_its_connections_framing() -> None:
    assert framed(text_frame, "hello") == b"\x81\x05hello"
    assert framed(bytes.upper, "hello") == b"HELLO"
    assert framed(text_frame, "hello") == b"\x81\x05hello"
