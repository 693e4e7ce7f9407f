"""permessage-deflate without context takeover, for a server (RFC 7692).

What lives here: compression of whole messages into frames, decompression under a limit.
What must not: state of any connection. Without context takeover a compressed frame depends on its
message alone, so that one frame serves every connection that agreed to the same window.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache

import msgspec

from seaway.exceptions import CloseCode, ProtocolError

from .frames import BINARY, TEXT, encode_frame

MIN_WINDOW_BITS, MAX_WINDOW_BITS = 9, 15  # zlib has no raw deflate with a window of 8 bits

#: A compressor may use a smaller window than agreed. Measured for JSON events of 64 bytes to 64 KB:
#: 12 bits with memory level 5 compress within 0.5% of 15 bits with level 8, and a message of 256
#: bytes takes 5 us instead of 36, most of which is the clearing of 256 KB. It also lets nearly all
#: connections share one framing.
_WINDOW_BITS = 12
_MEMORY_LEVEL = 5

#: Smaller messages go out as they are. At 128 bytes deflate saves a quarter, 30 bytes, which is
#: less than the TCP/IP header that carries them, and costs 3.5 us here and an inflate at every
#: receiver; from 256 bytes on it saves half.
THRESHOLD_BYTES = 256

#: What every sync flush ends with, and what a sender leaves out (section 7.2.1).
_TAIL = b"\x00\x00\xff\xff"
#: What may follow a block with BFINAL set: the byte that section 7.2.3.4 appends, and the tail.
_AFTER_FINAL_BLOCK = frozenset({_TAIL, b"\x00" + _TAIL})


class DeflateParameters(msgspec.Struct, frozen=True):
    """What both sides agreed to, no context takeover included.

    :param server_max_window_bits: 9 to 15: the largest window in which the server compresses.
        A client may always use 15, which every inflater here can read.
    """

    server_max_window_bits: int = MAX_WINDOW_BITS


def text_framing(parameters: DeflateParameters) -> Callable[[bytes], bytes]:
    """The function that frames text messages for connections with these parameters.

    Equal functions are the same object: it is a key by which encodings are shared.
    """
    return _framing(TEXT, min(parameters.server_max_window_bits, _WINDOW_BITS))


def binary_framing(parameters: DeflateParameters) -> Callable[[bytes], bytes]:
    """`text_framing` for binary messages."""
    return _framing(BINARY, min(parameters.server_max_window_bits, _WINDOW_BITS))


@cache
def _framing(opcode: int, window_bits: int) -> Callable[[bytes], bytes]:
    def deflated_frame(payload: bytes) -> bytes:
        if len(payload) < THRESHOLD_BYTES:
            return encode_frame(opcode, payload)
        compressed = compress(payload, window_bits)
        if len(compressed) >= len(payload):
            return encode_frame(opcode, payload)
        return encode_frame(opcode, compressed, rsv1=True)

    return deflated_frame


def compress(payload: bytes, window_bits: int = _WINDOW_BITS) -> bytes:
    """A message's payload as section 7.2.1 wants it."""
    deflater = zlib.compressobj(
        zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -window_bits, _MEMORY_LEVEL
    )
    compressed = deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return compressed.removesuffix(_TAIL)


def inflate(payload: bytes | bytearray, max_bytes: int) -> bytes:
    """A compressed message's payload (section 7.2.2), never more than ``max_bytes`` of it.

    :raises ProtocolError: 1009 over the limit, 1007 for bytes that are no deflate stream.
    """
    inflater = zlib.decompressobj(-MAX_WINDOW_BITS)
    try:
        # One byte over the limit is enough to know, however much the payload would inflate to.
        message = inflater.decompress(payload + _TAIL, max_bytes + 1)
    except zlib.error as error:
        raise _broken("a compressed message that does not inflate") from error
    if len(message) > max_bytes:
        raise ProtocolError(
            f"a message over {max_bytes} bytes", close_code=CloseCode.MESSAGE_TOO_BIG
        )
    if inflater.eof and inflater.unused_data not in _AFTER_FINAL_BLOCK:
        raise _broken("a compressed message that goes on after its final block")
    return message


def _broken(reason: str) -> ProtocolError:
    return ProtocolError(reason, close_code=CloseCode.INVALID_PAYLOAD)
