"""A WebSocket client in a few lines: the frames that the tests send."""

from __future__ import annotations

import zlib

MASK = b"\x37\xfa\x21\x3d"  # of RFC 6455 section 5.7
FIN, RSV1 = 0x80, 0x40


def masked(payload: bytes, mask: bytes = MASK) -> bytes:
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def frame(opcode: int, payload: bytes = b"", *, first: int = FIN, width: int = 0) -> bytes:
    """One masked frame; ``width`` forces a longer form of the length."""
    size = len(payload)
    width = width or (0 if size < 126 else 2 if size < 65536 else 8)
    short = {0: size, 2: 126, 8: 127}[width]
    length = size.to_bytes(width, "big") if width else b""
    return bytes((first | opcode, 0x80 | short)) + length + MASK + masked(payload)


def deflated(payload: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(
        b"\x00\x00\xff\xff"
    )
