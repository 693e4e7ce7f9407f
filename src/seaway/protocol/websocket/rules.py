"""What a client's frame may look like (RFC 6455 sections 5.2 and 5.5, RFC 7692 section 6.1).

What lives here: the bits of a frame's first two bytes, which first bytes are faults, the forms of a
length, and the payload of a close frame.
What must not: state: what may follow what is `connection`'s to know.
"""

from __future__ import annotations

from seaway.exceptions import ProtocolError
from seaway.protocol.events import Close

from .frames import BINARY, CLOSE, CONTINUATION, NO_STATUS, PING, PONG, TEXT, is_valid_close_code

FIN, RSV1, _RESERVED, OPCODE = 0x80, 0x40, 0x30, 0x0F
MASK = 0x80
CONTROL = frozenset({CLOSE, PING, PONG})
_KNOWN = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
#: The first two bytes' lengths that announce a longer one, its width, and what it must exceed
#: (section 5.2: the shortest form is the only one).
EXTENDED = {126: (2, 125), 127: (8, 0xFFFF)}


def _first_byte_fault(byte: int) -> str:
    """Why a frame cannot start with this byte, whatever was negotiated; "" if it can."""
    opcode = byte & OPCODE
    if byte & _RESERVED:
        return "a frame with reserved bits set"
    if opcode not in _KNOWN:
        return "a frame with a reserved opcode"
    if opcode in CONTROL and not byte & FIN:
        return "a fragmented control frame"
    if byte & RSV1 and opcode not in {TEXT, BINARY}:
        # RFC 7692 section 6.1: only a message's first frame says that it is compressed.
        return "a frame with RSV1 set that starts no message"
    return ""


#: By a frame's first byte.
FAULTS = tuple(_first_byte_fault(byte) for byte in range(256))


def read_close(payload: bytes) -> Close:
    """Section 5.5.1: nothing, or a code and a reason in UTF-8."""
    if not payload:
        return Close(NO_STATUS)
    if len(payload) == 1:
        raise ProtocolError("a close frame with half a code")
    code = int.from_bytes(payload[:2], "big")
    if not is_valid_close_code(code):
        raise ProtocolError(f"a close frame with the code {code}")
    return Close(code, payload[2:].decode())
