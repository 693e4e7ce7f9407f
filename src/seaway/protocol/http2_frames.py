"""The frames that a peer sends, looked at before libnghttp2 gets them (RFC 9113 sections 4 and 5).

What lives here: the layout of frame headers, what the peer may still send on which stream, and how
often it may send what costs it little and us much.
What must not: header blocks, flow control, answers: those are libnghttp2's.

Why beside libnghttp2: it forgets a stream when it is closed, and ignores whatever comes for it. To
tell a frame that crossed our RST_STREAM (fine) from one behind the peer's own END_STREAM or
RST_STREAM (an error, RFC 9113 section 5.1), one must remember what the peer itself has said.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from http import HTTPMethod

import msgspec

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: Three words, the last of which names no protocol and version.
_WORDS = re.compile(rb"([A-Z]+) [!-~]+ [!-.0-~]+\r\n")

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING = range(7)
GOAWAY, WINDOW_UPDATE, CONTINUATION = 7, 8, 9
END_STREAM = ACK = 0x1
END_HEADERS, PADDED = 0x4, 0x8

#: RFC 9113 section 7.
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR = 0x0, 0x1, 0x2, 0x3
STREAM_CLOSED, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0x5, 0x7, 0x8, 0xB

#: Length in two parts, type, flags, stream (section 4.1).
_HEADER = struct.Struct(">HBBBI")
HEADER_SIZE = 9
_STREAM_MASK = 0x7FFFFFFF

#: Streams that are remembered. A forgotten one is left to libnghttp2, which is lenient.
_REMEMBERED = 1024

#: Increments from here on can take a window over its limit at once or twice (section 6.9.1).
_LARGE = 1 << 30
LARGE_SIZE = HEADER_SIZE + 4
MAX_WINDOW = (1 << 31) - 1

#: What the peer has said of a stream: it may send more; END_STREAM; RST_STREAM.
_OPEN, _ENDED, _RESET = range(3)


class Allowance(msgspec.Struct, frozen=True):
    """So many frames at once, and so many a second in the long run."""

    burst: int
    rate: int


#: A browser that leaves a page cancels all that it has asked for at once; nobody pings a hundred
#: times. CVE-2023-44487 and CVE-2019-9512, -9515, -9516 and -9518 were floods of such frames.
RESETS = Allowance(200, 20)
PINGS = Allowance(100, 10)
SETTINGS_CHANGES = Allowance(100, 10)
EMPTY_DATA = Allowance(100, 20)
#: PRIORITY and unknown types: ignored, but not for free.
IGNORED = Allowance(1000, 100)

#: Allowances are by type, and empty DATA is counted as if it were one of its own.
_EMPTY = -1
ALLOWANCES: Mapping[int, Allowance] = {
    RST_STREAM: RESETS,
    PING: PINGS,
    SETTINGS: SETTINGS_CHANGES,
    _EMPTY: EMPTY_DATA,
    PRIORITY: IGNORED,
}
_NAMES = {RST_STREAM: "RST_STREAM", PING: "PING", SETTINGS: "SETTINGS", _EMPTY: "empty DATA"}


class Fault(msgspec.Struct, frozen=True):
    """A connection error of the peer (section 5.4.1)."""

    code: int
    reason: str


class _Bucket:
    """How much of an allowance is left."""

    __slots__ = ("_allowance", "_left", "_time")

    def __init__(self, allowance: Allowance, now: float) -> None:
        self._allowance = allowance
        self._left = float(allowance.burst)
        self._time = now

    def take(self, now: float) -> bool:
        """Use one up; False if there is none."""
        allowance = self._allowance
        earned = (now - self._time) * allowance.rate
        self._time = now
        self._left = min(self._left + earned, float(allowance.burst)) - 1
        return self._left >= 0


class FrameWatch:
    """Follows the borders of the frames in a peer's bytes."""

    __slots__ = (
        "_buckets",
        "_clock",
        "_floor",
        "_skip",
        "_streams",
        "data_of",
        "fault",
        "head_pending",
        "large",
        "last",
        "unfinished",
    )

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._skip = len(PREFACE)
        self._streams: dict[int, int] = {}
        #: Streams up to this one may have been forgotten.
        self._floor = 0
        self._buckets: dict[int, _Bucket] = {}
        #: Whether a frame has begun to arrive and is not complete; and of which stream's DATA.
        self.unfinished = False
        self.data_of = 0
        #: The highest stream that the peer has opened.
        self.last = 0
        #: Whether a header block has begun and not ended.
        self.head_pending = False
        #: A stream and by how much it widens its window, if that may be too much: `scan` has
        #: stopped before that frame, of `LARGE_SIZE` bytes, and goes on behind it.
        self.large: tuple[int, int] | None = None
        #: Why nothing more is read, once that is so.
        self.fault: Fault | None = None

    def scan(self, data: bytes) -> int:
        """How many bytes of ``data`` may be handed on now; the rest is to be offered again, with
        what follows it. Once there is a `fault`, the rest is not to be read at all."""
        position, size = self._skip, len(data)
        kind = stream = 0
        if position <= size:
            self.data_of = 0
        while position + HEADER_SIZE <= size:
            high, low, kind, flags, stream = _HEADER.unpack_from(data, position)
            length = high << 8 | low
            start = position + HEADER_SIZE
            if kind in _PEEK and length and start + _PEEK[kind] > size and start + length > size:
                break
            peek = data[start : start + min(length, 5)]
            self._look(kind, flags, stream & _STREAM_MASK, peek, length)
            if self.fault is not None or self.large is not None:
                self._skip = 0
                return position
            position = start + length
        self.unfinished = position != size
        if position > size:
            if kind == DATA and stream:
                self.data_of = stream & _STREAM_MASK
            self._skip = position - size
            return size
        self._skip = 0
        return position

    def _look(self, kind: int, flags: int, stream: int, start: bytes, length: int) -> None:
        if kind == HEADERS:
            self.head_pending = not flags & END_HEADERS
            self._headers(stream, flags)
        elif kind == DATA:
            self._data(stream, flags, start, length)
        elif kind == CONTINUATION:
            self.head_pending = not flags & END_HEADERS
        elif kind == RST_STREAM:
            if stream in self._streams:
                self._streams[stream] = _RESET
            self._count(RST_STREAM)
        elif kind in {PING, SETTINGS}:
            if not flags & ACK:
                self._count(kind)
        elif kind == WINDOW_UPDATE:
            increment = int.from_bytes(start, "big") & _STREAM_MASK
            if increment >= _LARGE and length == 4 and stream:
                self.large = stream, increment
        elif kind == PRIORITY or kind > CONTINUATION:
            self._ignored(kind, stream, start)

    def _ignored(self, kind: int, stream: int, start: bytes) -> None:
        """RFC 7540 section 5.3.1 forbids these; RFC 9113 has no more use for PRIORITY."""
        if kind == PRIORITY:
            if not stream:
                self._fail(PROTOCOL_ERROR, "PRIORITY on stream 0")
            elif len(start) == 5 and int.from_bytes(start[:4], "big") & _STREAM_MASK == stream:
                self._fail(PROTOCOL_ERROR, "a stream that depends on itself")
        self._count(PRIORITY)

    def _headers(self, stream: int, flags: int) -> None:
        streams = self._streams
        said = _ENDED if flags & END_STREAM else _OPEN
        if stream > self.last and stream & 1:
            self.last = stream
            streams[stream] = said
            if len(streams) > _REMEMBERED:
                forgotten = next(iter(streams))
                del streams[forgotten]
                self._floor = max(self._floor, forgotten)
        elif stream in streams:
            if streams[stream] != _OPEN:
                self._fail(STREAM_CLOSED, "HEADERS for a stream that the peer has closed")
            streams[stream] = said
        elif stream > self._floor and stream & 1:
            # Section 5.1.1: streams that were skipped are closed.
            self._fail(PROTOCOL_ERROR, "HEADERS for a stream below the newest")

    def _data(self, stream: int, flags: int, start: bytes, length: int) -> None:
        said = self._streams.get(stream)
        if said is None:
            if self._floor < stream < self.last:
                self._fail(STREAM_CLOSED, "DATA for a stream that was never opened")
        elif said != _OPEN:
            self._fail(STREAM_CLOSED, "DATA for a stream that the peer has closed")
        elif flags & END_STREAM:
            self._streams[stream] = _ENDED
        elif not length or (flags & PADDED and start[0] == length - 1):
            self._count(_EMPTY)

    def _count(self, kind: int) -> None:
        now = self._clock()
        bucket = self._buckets.get(kind)
        if bucket is None:
            bucket = self._buckets[kind] = _Bucket(ALLOWANCES[kind], now)
        if not bucket.take(now):
            name = _NAMES.get(kind, "ignored")
            self._fail(ENHANCE_YOUR_CALM, f"too many {name} frames")

    def _fail(self, code: int, reason: str) -> None:
        self.fault = Fault(code, reason)


#: Bytes of a payload that are looked at: the pad length of DATA, the dependency in PRIORITY, the
#: increment in WINDOW_UPDATE.
_PEEK = {DATA: 1, PRIORITY: 5, WINDOW_UPDATE: 4}


def wrong_preface(data: bytes) -> bool:
    """Whether the first bytes of a connection are neither HTTP/2's preface nor a request line of
    HTTP/1 with whatever errors: no known method and no version. Section 3.4 has them answered with
    a connection error; to a client of HTTP/2, words would be a frame of megabytes."""
    words = _WORDS.match(data)
    return words is not None and words[1].decode() not in HTTPMethod.__members__


def goaway(last_stream: int, code: int, reason: str = "") -> bytes:
    """A GOAWAY frame (section 6.8), for when libnghttp2 has given the connection up."""
    payload = struct.pack(">II", last_stream, code) + reason.encode()
    size = len(payload)
    return _HEADER.pack(size >> 8, size & 0xFF, GOAWAY, 0, 0) + payload
