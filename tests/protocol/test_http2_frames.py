"""The watch over a peer's frames, where the connection's own tests do not reach it."""

from compliance.http2_frames import data, headers, rst_stream, settings, window_update

from seaway.protocol.http2_frames import LARGE_SIZE, PREFACE, FrameWatch, goaway, wrong_preface


def watch() -> FrameWatch:
    made = FrameWatch(lambda: 0.0)
    assert made.scan(PREFACE + settings()) == 33
    return made


def test_it_keeps_back_what_it_cannot_judge_yet() -> None:
    made = watch()
    wire = headers(1, end=False)
    for size in range(9):
        assert made.scan(wire[:size]) == 0
    # From the header on, a frame's payload may pass as it comes.
    assert made.scan(wire[:12]) == 12
    assert made.scan(wire[12:]) == len(wire) - 12
    assert made.last == 1


def test_streams_are_forgotten_from_the_oldest() -> None:
    made = watch()
    last = 2 * 3000 + 1
    made.scan(b"".join(headers(stream) for stream in range(1, last + 2, 2)))
    assert len(made._streams) == 1024
    # What is forgotten is libnghttp2's to judge, which ignores it.
    made.scan(data(1, b"x"))
    assert made.fault is None
    made.scan(data(last, b"x"))
    assert made.fault is not None


def test_after_a_fault_nothing_is_handed_on() -> None:
    made = watch()
    wire = headers(1) + headers(1) + headers(3)
    assert made.scan(wire) == len(headers(1))
    assert made.fault is not None


def test_resets_are_counted() -> None:
    made = watch()
    made.scan(b"".join(headers(n) + rst_stream(n) for n in range(1, 401, 2)))
    assert made.fault is None
    made.scan(headers(401) + rst_stream(401))
    assert made.fault is not None


def test_it_stops_before_an_update_that_may_be_too_much() -> None:
    made = watch()
    large = window_update(1, 1 << 30)
    wire = headers(1) + large + headers(3)
    # Cut before its increment, the frame waits.
    cut = len(headers(1)) + LARGE_SIZE - 1
    assert made.scan(wire[:cut]) == len(headers(1))
    assert made.large is None
    assert made.scan(wire[len(headers(1)) :]) == 0
    assert made.large == (1, 1 << 30)
    made.large = None
    assert made.scan(headers(3)) == len(headers(3))
    assert made.scan(window_update(0, 1 << 30) + window_update(3, 1)) == 2 * LARGE_SIZE


def test_what_is_a_wrong_preface() -> None:
    assert wrong_preface(b"INVALID CONNECTION PREFACE\r\n\r\n")
    for line in (b"GET / HTTP/1.1", b"GET / HTTP", b"HELLO / RTSP/1.0", b"GET /", b"\x16\x03\x01"):
        assert not wrong_preface(line + b"\r\n"), line


def test_a_goaway_of_our_own() -> None:
    assert goaway(5, 11, "why") == (
        b"\x00\x00\x0b\x07\x00\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x0bwhy"
    )
