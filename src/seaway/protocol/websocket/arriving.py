"""A message of which not all has come.

What lives here: `Arriving`, and the function that takes masks off.
What must not: where frames begin and end, and what may follow what (`connection`).
"""

from __future__ import annotations

import codecs

from .frames import TEXT

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform for which websockets has no wheel with its C extension
    from websockets.utils import apply_mask

__all__ = ["Arriving", "apply_mask"]

_new_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class Arriving:
    """A message of which something is still to come: frames (section 5.4), or the rest of one."""

    __slots__ = ("compressed", "decoder", "fin", "left", "mask", "opcode", "payload")

    def __init__(self, opcode: int, compressed: bool) -> None:
        self.opcode = opcode
        self.compressed = compressed
        self.payload = bytearray()
        # Invalid text is refused at the byte where it shows, in whatever frame (section 8.1). The
        # decoder only checks: a list of decoded parts would cost a client's one-byte fragments 60
        # bytes each.
        self.decoder = _new_utf8_decoder() if opcode == TEXT and not compressed else None
        #: Of the frame that has begun: bytes still to come, its mask as they need it, whether it
        #: is the last.
        self.left = 0
        self.mask = b""
        self.fin = False

    def begin_frame(self, length: int, mask: bytes, fin: bool) -> None:
        self.left, self.mask, self.fin = length, mask, fin

    def add(self, masked: bytes) -> None:
        """Take some of the frame's payload, at most `left` bytes of it."""
        payload = apply_mask(masked, self.mask)
        self.left -= len(masked)
        turn = len(masked) & 3
        if turn:
            self.mask = self.mask[turn:] + self.mask[:turn]
        self.payload += payload
        if self.decoder is not None:
            self.decoder.decode(payload, self.fin and not self.left)
