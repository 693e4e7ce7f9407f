"""What a WebSocket server must do where a client offers permessage-deflate, section by section.

What lives here: the cases after RFC 7692; the peer follows whatever the server's answer says.
What must not: frames and expectations of plain WebSockets (`websocket_cases`).
"""

from __future__ import annotations

import hashlib
import zlib

from compliance.websocket_cases import (
    Case,
    Run,
    alive,
    echoed,
    failed,
)
from compliance.websocket_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Agreement,
    Frame,
    Peer,
    fragments,
    frame,
)

CASES: list[Case] = []
RSV1 = 4
PLAIN = b"permessage-deflate"
#: What each browser says.
BROWSER = PLAIN + b"; client_max_window_bits"
_NO_CONTEXT = (b"server_no_context_takeover", b"client_no_context_takeover")
_BITS = (b"server_max_window_bits", b"client_max_window_bits")
_ANSWERABLE = {*_NO_CONTEXT, *_BITS}
_WORDS = b"seat row stage ticket hold sold event topic position join leave queue 0 1 2 17".split()


def text_of(size: int, seed: int = 7) -> bytes:
    """Words, which compress, of ``size`` bytes in all."""
    order = hashlib.shake_128(b"%d" % seed).digest(size // 3 + 1)
    return b" ".join(_WORDS[each % len(_WORDS)] for each in order)[:size]


def case(section: str, text: str, run: Run, *, offer: bytes = BROWSER) -> None:
    CASES.append(Case(section, text, run, offer=offer))


def agreement(peer: Peer) -> Agreement:
    assert peer.agreement, "permessage-deflate is declined"
    return peer.agreement


def compressed(peer: Peer, opcode: int, payload: bytes, size: int = 0) -> bytes:
    """A compressed message, in fragments of ``size`` bytes if that is not 0."""
    data = agreement(peer).deflate(payload)
    return fragments(opcode, data, size or len(data) or 1, RSV1)


# Negotiation (section 7.1) -----------------------------------------------------------------------


def objection(answer: Agreement, offer: bytes) -> str:
    """What the answer says that the offer does not let it say; "" if nothing."""
    asked: dict[bytes, bytes] = {}
    for parameter in offer.split(b";")[1:]:
        key, _, value = parameter.strip().partition(b"=")
        asked[key] = value
    said = answer.parameters
    unasked = said.keys() - _ANSWERABLE
    if b"client_max_window_bits" not in asked:
        unasked |= said.keys() & {b"client_max_window_bits"}
    if unasked:
        return f"{unasked} was not asked for"
    for key in (b"server_no_context_takeover", b"server_max_window_bits"):
        if key in asked and key not in said:
            return f"{key!r} is not granted"
    for key in said.keys() & _NO_CONTEXT:
        if said[key]:
            return f"{key!r} has a value"
    for key in said.keys() & _BITS:
        if not 8 <= int(said[key] or 0) <= int(asked.get(key) or 15):
            return f"{key!r} is {said[key]!r}"
    return ""


def talk(peer: Peer) -> None:
    """Messages of all sizes, one of them repeated, both ways."""
    for size in (0, 1, 16, 64, 256, 1024, 8192, 40_000, 40_000, 131_072):
        for opcode in (TEXT, BINARY):
            payload = text_of(size)
            peer.send(compressed(peer, opcode, payload))
            echoed(peer, opcode, payload)


def taken(*offers: bytes) -> None:
    """One of the offers is agreed to, and what is agreed to works."""

    def run(peer: Peer) -> None:
        answer = agreement(peer)
        found = [objection(answer, offer) for offer in offers if offer.startswith(PLAIN)]
        assert not all(found), found[0]
        talk(peer)

    offer = b", ".join(offers)
    case("7.1", offer.decode(), run, offer=offer)


def declined(offer: bytes) -> None:
    """The offer is invalid: no agreement, and a connection that works without."""

    def run(peer: Peer) -> None:
        assert peer.agreement is None, f"agreed to {peer.agreement.parameters}"
        peer.send(frame(TEXT, b"Hello"))
        echoed(peer, TEXT, b"Hello")

    case("7.1", f"declined: {offer.decode()}", run, offer=PLAIN + b"; " + offer)


taken(PLAIN)
taken(BROWSER)
taken(b"x-unknown; y=1", PLAIN)
taken(PLAIN + b"; unknown=1", BROWSER)
taken(BROWSER + b"; server_max_window_bits=9; server_no_context_takeover", BROWSER, PLAIN)
for _parameter in (
    *_NO_CONTEXT,
    b"; ".join(_NO_CONTEXT),
    *(b"client_max_window_bits=%d" % bits for bits in (9, 12, 15)),
    *(b"server_max_window_bits=%d" % bits for bits in (9, 10, 12, 15)),
):
    taken(PLAIN + b"; " + _parameter)
    taken(BROWSER + b"; " + _parameter if b"client_max" not in _parameter else BROWSER)
taken(BROWSER + b"; server_no_context_takeover; server_max_window_bits=9", PLAIN)
for _parameter in (
    b"unknown",
    b"server_no_context_takeover=1",
    b"client_no_context_takeover=1",
    b"server_no_context_takeover; server_no_context_takeover",
    b"server_max_window_bits",
    b"server_max_window_bits=7",
    b"server_max_window_bits=16",
    b"server_max_window_bits=010",
    b"server_max_window_bits=10; server_max_window_bits=10",
    b"client_max_window_bits=7",
    b"client_max_window_bits=16",
):
    declined(_parameter)

# Frames (section 6) ------------------------------------------------------------------------------


def _fragmented(size: int, pieces: int = 0) -> Run:
    def run(peer: Peer) -> None:
        for length in (0, 10, 1000, 20_000):
            payload = text_of(length)
            peer.send(compressed(peer, TEXT, payload, size), pieces=pieces)
            echoed(peer, TEXT, payload)

    return run


def _controls_between(peer: Peer) -> None:
    data = agreement(peer).deflate(b"Hello, hello, hello")
    peer.send(frame(TEXT, data[:3], fin=False, rsv=RSV1), frame(PING, b"now"))
    assert peer.frame() == Frame(PONG, b"now")
    peer.send(frame(CONTINUATION, data[3:]))
    echoed(peer, TEXT, b"Hello, hello, hello")


def _mixed(peer: Peer) -> None:
    for number in range(20):
        payload = text_of(500, number)
        peer.send(frame(TEXT, payload) if number % 2 else compressed(peer, TEXT, payload))
        echoed(peer, TEXT, payload)


def _fatal(section: str, text: str, *frames: bytes, codes: tuple[int, ...] = (1002,)) -> None:
    def run(peer: Peer) -> None:
        agreement(peer)
        peer.send(*frames, frame(PING))
        failed(peer, *codes)

    case(section, text, run)


for _size in (1, 7, 256):
    case("6.1", f"fragments of {_size}", _fragmented(_size))
case("6.1", "fragments of 100, byte by byte", _fragmented(100, pieces=1))
case("6.1", "a ping between compressed fragments", _controls_between)
case("6", "compressed messages and others by turns", _mixed)
_fatal("6.1", "RSV1 on a continuation", frame(TEXT, b"a", fin=False), frame(0, b"b", rsv=RSV1))
for _opcode in (CLOSE, PING, PONG):
    _fatal("6", f"RSV1 on the control frame {_opcode}", frame(_opcode, rsv=RSV1))
for _rsv in (1, 2, 5, 6, 7):
    _fatal("6", f"reserved bits {_rsv}", frame(TEXT, b"a", rsv=_rsv))

# Messages (section 7.2) --------------------------------------------------------------------------


def _given(data: bytes, payload: bytes) -> Run:
    """Compressed bytes as somebody else made them."""

    def run(peer: Peer) -> None:
        agreement(peer)
        peer.send(frame(TEXT, data, rsv=RSV1))
        echoed(peer, TEXT, payload)
        alive(peer)

    return run


def _raw(payload: bytes, level: int = -1) -> bytes:
    deflater = zlib.compressobj(level, wbits=-15)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _two_blocks(payload: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    first = deflater.compress(payload[:5]) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return (first + deflater.compress(payload[5:]) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _final_block(payload: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(payload) + deflater.flush(zlib.Z_FINISH) + b"\0"


def _random(peer: Peer) -> None:
    payload = hashlib.shake_128(b"7").digest(100_000)
    peer.send(compressed(peer, BINARY, payload, 4096))
    echoed(peer, BINARY, payload)


def _many(size: int, fragment: int) -> Run:
    def run(peer: Peer) -> None:
        for number in range(100):
            payload = text_of(size, number % 5)
            peer.send(compressed(peer, TEXT, payload, fragment))
            echoed(peer, TEXT, payload)

    return run


case("7.2.3.1", "the example", _given(bytes.fromhex("f248cdc9c90700"), b"Hello"))
case("7.2.3.3", "a block without compression", _given(b"\0\5\0\xfa\xffHello\0", b"Hello"))
case("7.2.3.4", "a final block", _given(_final_block(b"Hello"), b"Hello"))
case("7.2.3.5", "two blocks", _given(_two_blocks(b"Hello, hello"), b"Hello, hello"))
case("7.2.3.6", "an empty message", _given(b"\0", b""))
case("7.2.2", "stored blocks", _given(_raw(text_of(9999), level=0), text_of(9999)))
case("7.2.2", "random bytes", _random)
for _size, _fragment in ((16, 0), (256, 0), (4096, 0), (32_768, 0), (8192, 256), (65_536, 1024)):
    _text = f"100 messages of {_size} bytes" + f" in fragments of {_fragment}" * bool(_fragment)
    case("7.2.2", _text, _many(_size, _fragment))
_fatal("7.2.2", "no deflate data", frame(TEXT, b"\xff" * 10, rsv=RSV1), codes=(1002, 1007))
_fatal("8.1", "text that is not UTF-8", frame(TEXT, _raw(b"ok \xff"), rsv=RSV1), codes=(1007,))
_fatal("10", "64 MiB in 64 KiB", frame(BINARY, _raw(bytes(64 << 20)), rsv=RSV1), codes=(1009,))
