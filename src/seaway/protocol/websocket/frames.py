"""Frames that a server sends: never masked (RFC 6455 sections 5.1 and 5.2).

What lives here: the frame's layout on the way out, opcodes, and which close codes may be sent.
What must not: state, compression (`deflate`), parsing (`connection`).
"""

from __future__ import annotations

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

#: Section 5.5: a control frame's payload fits the 7-bit length.
MAX_CONTROL_PAYLOAD = 125
#: Two bytes of it are the code (section 5.5.1).
_MAX_REASON = MAX_CONTROL_PAYLOAD - 2
#: Stands for "no code" and is never on the wire (section 7.4.1).
NO_STATUS = 1005
#: Section 7.4 and the IANA registry: what may stand in a close frame. 1004 to 1006 and 1015 may
#: not; 3000 to 4999 belong to libraries and applications.
_STANDARD_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})

_BYTE = tuple(bytes((value,)) for value in range(256))
_SHORT_TEXT = tuple(bytes((0x80 | TEXT, length)) for length in range(126))


def is_valid_close_code(code: int) -> bool:
    """Whether ``code`` may stand in a close frame."""
    return code in _STANDARD_CODES or 3000 <= code <= 4999


def encode_frame(opcode: int, payload: bytes, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """One unmasked frame. ``rsv1`` marks the first frame of a compressed message (RFC 7692)."""
    first = _BYTE[(0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode]
    size = len(payload)
    if size < 126:
        return first + _BYTE[size] + payload
    if size < 65536:
        return first + b"\x7e" + size.to_bytes(2, "big") + payload
    return first + b"\x7f" + size.to_bytes(8, "big") + payload


def text_frame(payload: bytes) -> bytes:
    """A whole text message; ``payload`` is UTF-8 already. The hot path of a fan-out."""
    size = len(payload)
    if size < 126:
        return _SHORT_TEXT[size] + payload
    return encode_frame(TEXT, payload)


def binary_frame(payload: bytes) -> bytes:
    """A whole binary message."""
    return encode_frame(BINARY, payload)


def close_frame(code: int = NO_STATUS, reason: str = "") -> bytes:
    """A close frame; 1005 makes one without a code. A reason over 123 bytes is cut short.

    :raises ValueError: the caller's fault: the code may not be sent.
    """
    if code == NO_STATUS:
        return encode_frame(CLOSE, b"")
    if not is_valid_close_code(code):
        raise ValueError(f"{code} must not be sent as a close code (RFC 6455 section 7.4)")
    text = reason.encode("utf-8", "replace")
    if len(text) > _MAX_REASON:
        # Cut between characters: half of one would be invalid UTF-8 to the peer.
        text = text[:_MAX_REASON].decode("utf-8", "ignore").encode()
    return encode_frame(CLOSE, code.to_bytes(2, "big") + text)


def ping_frame(payload: bytes = b"") -> bytes:
    """A ping. ValueError if the payload is over 125 bytes."""
    return encode_frame(PING, _control_payload(payload))


def pong_frame(payload: bytes = b"") -> bytes:
    """A pong. ValueError if the payload is over 125 bytes."""
    return encode_frame(PONG, _control_payload(payload))


def _control_payload(payload: bytes) -> bytes:
    if len(payload) > MAX_CONTROL_PAYLOAD:
        raise ValueError(f"a control frame carries at most 125 bytes, not {len(payload)}")
    return payload
