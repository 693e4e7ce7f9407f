"""What a WebSocket server must do with each kind of right and wrong frame, section by section.

What lives here: the cases after RFC 6455, and what all cases are made of.
What must not: how the server under test is reached (`websocket_peer`, `websocket`), compression
(`websocket_deflate_cases`).

The server under test answers each message with the same message.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from compliance.websocket_peer import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    TEXT,
    Frame,
    Peer,
    close,
    fragments,
    frame,
    opening,
)

Run = Callable[[Peer], None]
HELLO = frame(TEXT, b"Hello")


@dataclass(frozen=True)
class Case:
    """One thing to try.

    :param upgraded: whether ``run`` gets a connection after its opening handshake.
    :param offer: what the handshake says in Sec-WebSocket-Extensions.
    :param size: bytes of the largest message in it.
    """

    section: str
    text: str
    run: Run
    upgraded: bool = True
    offer: bytes = b""
    size: int = 0

    def __str__(self) -> str:
        return f"{self.section} {self.text}"


class Lenient(AssertionError):
    """What the RFC lets a server do, but a careful one does not."""


CASES: list[Case] = []


# Expectations ------------------------------------------------------------------------------------


def message(peer: Peer) -> tuple[int, bytes]:
    """The next message, put together and inflated: opcode and payload."""
    first = peer.frame()
    assert first is not None, "the server closed"
    assert first.opcode in {TEXT, BINARY}, f"not a message: {first}"
    compressed = bool(first.rsv & 4)
    assert not compressed or peer.agreement, "compressed without permessage-deflate"
    parts, last = [first.payload], first
    while not last.fin:
        following = peer.frame()
        assert following is not None, "the server closed inside a message"
        assert (following.opcode, following.rsv) == (CONTINUATION, 0), following
        parts.append(following.payload)
        last = following
    payload = b"".join(parts)
    if compressed and peer.agreement:
        payload = peer.agreement.inflate(payload)
    return first.opcode, payload


def echoed(peer: Peer, opcode: int, payload: bytes) -> None:
    found, data = message(peer)
    assert found == opcode, f"opcode {found}, not {opcode}"
    assert data == payload, f"{len(data)} other bytes than the {len(payload)} that were sent"


def gone(peer: Peer) -> None:
    """The server closes TCP first (section 7.1.1), and says nothing before."""
    found = peer.frame()
    assert found is None, f"not the end: {found}"


def failed(peer: Peer, *codes: int, found: Frame | None = None) -> None:
    """The server fails the connection, and should say why (section 7.1.7)."""
    found = found or peer.frame()
    if found is None:
        raise Lenient("closed without a Close frame")
    assert found.opcode == CLOSE, f"not a Close frame: {found}"
    code = int.from_bytes(found.payload[:2], "big")
    assert code in codes, f"closed with {code}, not {codes}"
    gone(peer)


def answered_and_failed(peer: Peer, payload: bytes, *codes: int) -> None:
    """The same, but the text before it should be answered first."""
    found = peer.frame()
    if found != Frame(TEXT, payload):
        failed(peer, *codes, found=found)
        raise Lenient("the message before it has no answer")
    failed(peer, *codes)


def alive(peer: Peer) -> None:
    """The connection works, and the server has said nothing meanwhile."""
    peer.send(frame(PING, b"alive?"))
    found = peer.frame()
    assert found == Frame(PONG, b"alive?"), f"not a Pong: {found}"


# Builders of cases -------------------------------------------------------------------------------


def case(section: str, text: str, run: Run, *, upgraded: bool = True, size: int = 0) -> None:
    CASES.append(Case(section, text, run, upgraded, size=size))


def fatal(section: str, text: str, *frames: bytes, codes: Iterable[int] = (1002,)) -> None:
    """A message, then what the connection fails for, then a ping that nobody answers: in one
    segment, and in segments of one byte. The message has its answer all the same."""

    def whole(peer: Peer, pieces: int = 0) -> None:
        peer.send(HELLO, *frames, frame(PING), pieces=pieces)
        answered_and_failed(peer, b"Hello", *codes)

    case(section, text, whole)
    case(section, f"{text}, byte by byte", lambda peer: whole(peer, 1))


def echo(
    section: str, text: str, opcode: int, payload: bytes, sent: bytes = b"", pieces: int = 0
) -> None:
    """A message comes back."""

    def run(peer: Peer) -> None:
        peer.send(sent or frame(opcode, payload), pieces=pieces)
        echoed(peer, opcode, payload)
        alive(peer)

    case(section, text, run, size=len(payload))


# The opening handshake (section 4) ---------------------------------------------------------------


def _accepted(request: bytes, accept: bytes = ACCEPT) -> Run:
    def run(peer: Peer) -> None:
        peer.send(request)
        status, fields = peer.head()
        assert status == 101, status
        assert fields[b"upgrade"].lower() == b"websocket"
        assert fields[b"connection"].lower() == b"upgrade"
        assert fields[b"sec-websocket-accept"] == accept
        assert b"sec-websocket-protocol" not in fields
        assert b"sec-websocket-extensions" not in fields
        alive(peer)

    return run


def _refused(request: bytes, *statuses: int) -> Run:
    def run(peer: Peer) -> None:
        peer.send(request)
        status, fields = peer.head()
        assert status != 101, "accepted"
        assert not statuses or status in statuses, f"{status}, not {statuses}"
        if status == 426:
            assert b"13" in fields[b"sec-websocket-version"]

    return run


def _in_one_segment(peer: Peer) -> None:
    """A client has to wait for the answer (section 4.1), so nobody owes it one to the frame."""
    peer.send(opening() + HELLO)
    assert peer.head()[0] == 101
    try:
        found = peer.frame()
    except AssertionError as silence:
        raise Lenient("the frame is lost") from silence
    assert found == Frame(TEXT, b"Hello"), found


def _with_a_body(peer: Peer) -> None:
    """Nothing forbids it, but server and proxy may not agree where the frames begin."""
    peer.send(opening(b"Content-Length: 5") + b"Hello")
    if peer.head()[0] == 101:
        raise Lenient("accepted")


_OPENINGS = {
    "the example of section 1.3": opening(),
    "names and tokens in any case": opening(Upgrade=b"WebSocket", Connection=b"uPGRADE"),
    "upgrade among other options": opening(Connection=b"keep-alive, Upgrade"),
    "an origin, and headers nobody knows": opening(b"Origin: http://localhost", b"X-Seat: 12"),
    "a subprotocol that is not chosen": opening(b"Sec-WebSocket-Protocol: a, b"),
    "an extension that nobody knows": opening(b"Sec-WebSocket-Extensions: x-unknown; y=1"),
    "an empty body": opening(b"Content-Length: 0"),
}
_REFUSALS: dict[str, tuple[bytes, *tuple[int, ...]]] = {
    "no Host": (opening(Host=None), 400),
    "no Upgrade": (opening(Upgrade=None),),
    "no Connection": (opening(Connection=None),),
    "no Sec-WebSocket-Key": (opening(Sec_WebSocket_Key=None), 400),
    "no Sec-WebSocket-Version": (opening(Sec_WebSocket_Version=None), 400, 426),
    "Upgrade to something else": (opening(Upgrade=b"irc"),),
    "Connection without upgrade": (opening(Connection=b"keep-alive"),),
    "another method": (opening(method=b"POST"), 400, 405),
    "a key of 15 bytes": (opening(Sec_WebSocket_Key=b"AAAAAAAAAAAAAAAAAAAA"), 400),
    "a key that is not base64": (opening(Sec_WebSocket_Key=b"?" * 24), 400),
    "two keys": (opening(b"Sec-WebSocket-Key: " + KEY), 400),
    "an older version": (opening(Sec_WebSocket_Version=b"8"), 400, 426),
    "a version to come": (opening(Sec_WebSocket_Version=b"14"), 400, 426),
}
for _text, _request in _OPENINGS.items():
    case("4.2.1", _text, _accepted(_request), upgraded=False)
for _text, (_request, *_statuses) in _REFUSALS.items():
    case("4.2.1", _text, _refused(_request, *_statuses), upgraded=False)
case("4.1", "a frame in the segment of the request", _in_one_segment, upgraded=False)
case("4.2.1", "a body", _with_a_body, upgraded=False)

# Frames (sections 5.1 to 5.3) --------------------------------------------------------------------

fatal("5.1", "no mask", frame(TEXT, b"Hello", mask=None))
fatal("5.1", "no mask on a ping", frame(PING, b"", mask=None))
for _size in (0, 1, 125, 126, 127, 128, 1000, 65535, 65536, 1 << 18):
    for _opcode, _name in ((TEXT, "text"), (BINARY, "binary")):
        _data = (b"*" if _opcode == TEXT else b"\xfe") * _size
        echo("5.2", f"{_size} bytes, {_name}", _opcode, _data)
        echo("5.2", f"{_size} bytes, {_name}, in pieces", _opcode, _data, pieces=997)
echo("5.3", "a mask of zeros", TEXT, b"Hello", frame(TEXT, b"Hello", mask=bytes(4)))
echo("5.3", "byte by byte", TEXT, b"Hello" * 60, pieces=1)
fatal("5.2", "16 bits for a length of 7", frame(TEXT, b"Hello", width=2))
fatal("5.2", "64 bits for a length of 7", frame(TEXT, b"Hello", width=8))
fatal("5.2", "64 bits for a length of 16", frame(TEXT, b"*" * 200, width=8))
_frame = frame(BINARY, width=8, size=1 << 63)
fatal("5.2", "the highest of 64 bits of length", _frame, codes=(1002, 1009))
fatal("10.4", "more than any server takes", frame(BINARY, width=8, size=1 << 62), codes=(1009,))
for _rsv in range(1, 8):
    _opcode = (TEXT, BINARY, CLOSE, PING, PONG)[_rsv % 5]
    fatal("5.2", f"reserved bits {_rsv}, opcode {_opcode}", frame(_opcode, rsv=_rsv))
for _opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
    fatal("5.2", f"reserved opcode {_opcode}", frame(_opcode))
    fatal("5.2", f"reserved opcode {_opcode} with a payload", frame(_opcode, b"Hello"))

# Fragments (section 5.4) -------------------------------------------------------------------------

_FOX = b"The quick brown fox jumps over the lazy dog."
for _size in (1, 2, 7, 44):
    for _pieces in (0, 1):
        _text = f"fragments of {_size}" + ", byte by byte" * _pieces
        echo("5.4", _text, TEXT, _FOX, fragments(TEXT, _FOX, _size), _pieces)
        echo("5.4", f"binary {_text}", BINARY, _FOX, fragments(BINARY, _FOX, _size), _pieces)
_MORE, _EMPTY, _LAST = frame(CONTINUATION, b"-", fin=False), frame(0, fin=False), frame(0, b"!")
_FIRST = frame(TEXT, b"Hello", fin=False)
echo("5.4", "empty fragments", TEXT, b"!", frame(TEXT, fin=False) + _EMPTY + _LAST)
echo("5.4", "nothing in three fragments", TEXT, b"", frame(TEXT, fin=False) + _EMPTY + frame(0))
fatal("5.4", "a continuation of nothing", frame(CONTINUATION, b"Hello"))
fatal("5.4", "a beginning continuation of nothing", _MORE)
fatal("5.4", "a new message inside one", _FIRST, frame(TEXT, b"Hello"))
fatal("5.4", "a new binary message inside a text", _FIRST, frame(BINARY, b"Hello"))
fatal("5.4", "a new beginning inside a message", _FIRST, frame(TEXT, b"Hello", fin=False))
for _opcode in (CLOSE, PING, PONG):
    fatal("5.4", f"a fragmented control frame {_opcode}", frame(_opcode, b"Hello", fin=False))


def _pings_between(peer: Peer) -> None:
    for number in range(3):
        peer.send(_MORE if number else _FIRST, frame(PONG), frame(PING, b"%d" % number))
        assert peer.frame() == Frame(PONG, b"%d" % number)
    peer.send(_LAST)
    echoed(peer, TEXT, b"Hello--!")


def _answered_before_a_fragment(peer: Peer) -> None:
    peer.send(fragments(TEXT, _FOX, 7), frame(CONTINUATION, b"Hello", fin=False), HELLO)
    answered_and_failed(peer, _FOX, 1002)


case("5.4", "pings between fragments are answered at once", _pings_between)
case("5.4", "a message has its answer before what follows fails", _answered_before_a_fragment)

# Pings (section 5.5) -----------------------------------------------------------------------------


def _ping(payload: bytes, pieces: int = 0) -> Run:
    def run(peer: Peer) -> None:
        peer.send(frame(PING, payload), pieces=pieces)
        assert peer.frame() == Frame(PONG, payload)

    return run


def _ten_pings(peer: Peer) -> None:
    peer.send(*(frame(PING, b"%d" % number) for number in range(10)))
    assert [peer.frame() for _ in range(10)] == [Frame(PONG, b"%d" % n) for n in range(10)]


def _pongs(peer: Peer) -> None:
    peer.send(frame(PONG), frame(PONG, b"unasked"))
    alive(peer)


for _size in (0, 5, 125):
    case("5.5.2", f"a ping of {_size} bytes", _ping(b"\xfe" * _size))
    case("5.5.2", f"a ping of {_size} bytes, byte by byte", _ping(b"\xfe" * _size, 1))
case("5.5.2", "ten pings at once", _ten_pings)
case("5.5.3", "pongs that nobody asked for", _pongs)
for _opcode in (PING, PONG, CLOSE):
    fatal(
        "5.5", f"a control frame {_opcode} of 126 bytes", frame(_opcode, b"\x03\xe8" + b"*" * 124)
    )

# Closing (sections 5.5.1 and 7) ------------------------------------------------------------------


def closing(text: str, *frames: bytes, code: int | None) -> None:
    """A clean close: answered with the same code, or with 1000; then the server closes TCP."""

    def run(peer: Peer) -> None:
        peer.send(*frames)
        found = peer.frame()
        assert found is not None, "closed without a Close frame"
        assert found.opcode == CLOSE, f"not a Close frame: {found}"
        expected = [(number or 0).to_bytes(2, "big") for number in {code, 1000}]
        assert found.payload[:2] in expected or not (found.payload or code), found
        gone(peer)

    case("5.5.1", text, run)


closing("no code", frame(CLOSE), code=None)
closing("a reason", close(1000, b"bye"), code=1000)
closing("a reason of 123 bytes", close(1000, b"*" * 123), code=1000)
closing("a reason in UTF-8", close(3001, "κόσμε".encode()), code=3001)
closing("a message after it", close(1000), HELLO, code=1000)
closing("a ping after it", close(1000), frame(PING), code=1000)
closing("another close after it", close(1000), close(1000), code=1000)
closing("inside a message", _FIRST, close(1000), _LAST, code=1000)
for _code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
    closing(f"code {_code}", close(_code), code=_code)
for _code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
    fatal("7.4", f"code {_code}", close(_code))
fatal("5.5.1", "half a code", frame(CLOSE, b"\x03"))
fatal("5.5.1", "a reason that is not UTF-8", close(1000, b"\xce\xba\xed\xa0"), codes=(1002, 1007))

# Text (section 8.1) ------------------------------------------------------------------------------

_VALID = (
    "κόσμε", "\0", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\ufffe",
    "\uffff", "\U00010000", "\U0001f6a2", "\U0003ffff", "\U0010fffe", "\U0010ffff",
)  # fmt: skip
_INVALID = (
    "80", "bf", "80 bf 80", "c0 80", "c1 bf", "e0 80 80", "e0 9f bf", "f0 80 80 80", "f0 8f bf bf",
    "f4 90 80 80", "f5 80 80 80", "f7 bf bf bf", "f8 88 80 80 80", "fc 84 80 80 80 80", "fe", "ff",
    "ed a0 80", "ed af bf", "ed b0 80", "ed bf bf", "ed a0 80 ed b0 80", "c2", "e2 82", "f0 9f 9a",
    "c2 20", "e2 82 20", "f0 9f 9a 20",
)  # fmt: skip
for _number, _string in enumerate(_VALID):
    _data = b"Hello " + _string.encode()
    _text = f"U+{ord(_string[0]):04X}"
    echo("8.1", f"valid {_text}", TEXT, _data)
    echo("8.1", f"valid {_text}, cut anywhere", TEXT, _data, fragments(TEXT, _data, 1), _number % 2)
for _string in _INVALID:
    _data = "κόσμε".encode() + bytes.fromhex(_string)
    fatal("8.1", f"invalid {_string}", frame(TEXT, _data), codes=(1007,))
    fatal("8.1", f"invalid {_string} in fragments", fragments(TEXT, _data, 1), codes=(1007,))


def _shows(data: bytes) -> int:
    """Where text shows to be invalid; its length if it only ends too early."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for at in range(len(data)):
        try:
            decoder.decode(data[at : at + 1])
        except UnicodeDecodeError:
            return at
    return len(data)


def _early(valid: bytes, invalid: bytes) -> Run:
    """Text should be refused where it shows to be invalid: what would follow is never sent."""

    def run(peer: Peer) -> None:
        peer.send(frame(PING, b"alive?"), valid)
        assert peer.frame() == Frame(PONG, b"alive?")
        peer.send(invalid)
        try:
            found = peer.frame()
        except AssertionError as silence:
            raise Lenient("waits for the rest") from silence
        failed(peer, 1007, found=found)

    return run


for _string in _INVALID:
    _data = b"ok " + bytes.fromhex(_string)
    _at = _shows(_data)
    if _at < len(_data):
        _first = frame(TEXT, _data[:_at], fin=False)
        _run = _early(_first, frame(CONTINUATION, _data[_at : _at + 1], fin=False))
        case("8.1", f"invalid {_string} inside a fragmented message", _run)
        _whole = frame(TEXT, _data + b"rest")
        _run = _early(_whole[: 6 + _at], _whole[6 + _at : 7 + _at])
        case("8.1", f"invalid {_string} inside a frame", _run)

# Sizes and numbers (section 10.4) ----------------------------------------------------------------

_PATTERN = bytes(range(256)) * 4096
for _mib in (1, 4, 16):
    _size = _mib << 20
    echo("10.4", f"{_mib} MiB of text", TEXT, b"BAsd7&jh23"[:8] * (_size // 8))
    echo("10.4", f"{_mib} MiB", BINARY, _PATTERN * _mib)
for _size in (64, 4096, 1 << 18):
    _data = _PATTERN if _size < 4096 else _PATTERN * 4
    _text = f"{len(_data) >> 20} MiB in fragments of {_size}"
    echo("10.4", _text, BINARY, _data, fragments(BINARY, _data, _size))
echo("10.4", "64 KiB in fragments of 1300", TEXT, b"*" * 65536, fragments(TEXT, b"*" * 65536, 1300))
echo("10.4", "1 MiB of text in segments of 512", TEXT, b"*" * (1 << 20), pieces=512)


def _one_after_another(opcode: int, size: int) -> Run:
    def run(peer: Peer) -> None:
        for _ in range(300):
            peer.send(frame(opcode, b"*" * size))
            echoed(peer, opcode, b"*" * size)

    return run


def _all_at_once(peer: Peer) -> None:
    peer.send(*(frame(TEXT, b"%d" % number) for number in range(1000)))
    for number in range(1000):
        echoed(peer, TEXT, b"%d" % number)


for _size in (0, 64, 4096):
    case("10.4", f"300 texts of {_size} bytes, one by one", _one_after_another(TEXT, _size))
case("10.4", "300 binary messages, one by one", _one_after_another(BINARY, 256))
case("10.4", "1000 messages at once, answered in order", _all_at_once)
