"""WebSocket messages for a server: bytes in, messages out, and back (RFC 6455 sections 5 to 8).

What lives here: `WebSocketConnection`, the parser of what a client sends, and the limits on it.
What must not: sockets, time-outs, the policy of answering pings and closes.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable

from seaway.exceptions import CloseCode, ProtocolError
from seaway.protocol.events import Close, Message, MessageViolation, Ping, Pong

from .deflate import DeflateParameters, binary_framing, inflate, text_framing
from .frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MAX_CONTROL_PAYLOAD,
    NO_STATUS,
    PING,
    PONG,
    TEXT,
    binary_frame,
    close_frame,
    is_valid_close_code,
    ping_frame,
    pong_frame,
    text_frame,
)

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform for which websockets has no wheel with its C extension
    from websockets.utils import apply_mask

WebSocketEvent = Message | Ping | Pong | Close | MessageViolation

_FIN, _RSV1, _RESERVED, _OPCODE = 0x80, 0x40, 0x30, 0x0F
_MASK = 0x80
_CONTROL = frozenset({CLOSE, PING, PONG})
_KNOWN = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
#: The first two bytes' lengths that announce a longer one, its width, and what it must exceed
#: (section 5.2: the shortest form is the only one).
_EXTENDED = {126: (2, 125), 127: (8, 0xFFFF)}
#: First byte of a whole, uncompressed text message: the frame that the fast path is for.
_WHOLE_TEXT = _FIN | TEXT

_new_utf8_decoder = codecs.getincrementaldecoder("utf-8")


def _first_byte_fault(byte: int) -> str:
    """Why a frame cannot start with this byte, whatever was negotiated; "" if it can."""
    opcode = byte & _OPCODE
    if byte & _RESERVED:
        return "a frame with reserved bits set"
    if opcode not in _KNOWN:
        return "a frame with a reserved opcode"
    if opcode in _CONTROL and not byte & _FIN:
        return "a fragmented control frame"
    if byte & _RSV1 and opcode not in {TEXT, BINARY}:
        # RFC 7692 section 6.1: only a message's first frame says that it is compressed.
        return "a frame with RSV1 set that starts no message"
    return ""


_FAULTS = tuple(_first_byte_fault(byte) for byte in range(256))


class _Arriving:
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


class WebSocketConnection:
    """One connection's WebSocket, from the first byte after the handshake.

    Keeps nothing while nothing is pending: no buffer, no decoder, no compressor.

    :param max_message_bytes: a larger message is refused with 1009 as soon as a frame's header
        announces it.
    :param deflate: what `handshake.accept` agreed to.
    """

    __slots__ = (
        "_arriving",
        "_buffer",
        "_closed",
        "_deflate",
        "_limit",
        "_longest",
        "_needed",
        "framing",
    )

    framing: Callable[[bytes], bytes]
    """Frames one text message (UTF-8) for this connection; see `Framing` in server/handoff.py."""

    def __init__(self, max_message_bytes: int, deflate: DeflateParameters | None = None) -> None:
        self._limit = max_message_bytes
        #: The greatest second byte that the fast path takes outside a fragmented message: masked,
        #: with a length in seven bits, and within the limit.
        self._longest = _MASK + min(MAX_CONTROL_PAYLOAD, max_message_bytes)
        self._deflate = deflate
        self._buffer: bytearray | None = None
        self._needed = 0
        self._arriving: _Arriving | None = None
        self._closed = False
        self.framing = text_frame if deflate is None else text_framing(deflate)

    def limit_messages(self, size: int) -> None:
        """Refuse messages over ``size`` bytes from the next one on, if the limit was higher."""
        self._limit = min(self._limit, size)
        self._longest = min(self._longest, _MASK + min(MAX_CONTROL_PAYLOAD, size))

    @property
    def message_pending(self) -> bool:
        """Whether a part of a message or frame has arrived and the rest has not."""
        return self._buffer is not None or self._arriving is not None

    def receive(self, data: bytes) -> list[WebSocketEvent]:
        """What the client did with ``data``.

        Nothing follows `Close` and `MessageViolation`: what the client sends after them is ignored.
        """
        if self._closed:
            return []
        if self._buffer is not None:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return []
            data = bytes(self._buffer)
            self._buffer = None
        events: list[WebSocketEvent] = []
        try:
            self._parse(data, events)
        except ProtocolError as error:
            self._violate(error.close_code, error.reason, events)
        except UnicodeDecodeError:
            self._violate(CloseCode.INVALID_PAYLOAD, "text that is not UTF-8", events)
        return events

    def send(self, event: Message | Ping | Pong | Close) -> bytes:
        """The frame for an event.

        :raises ValueError: the caller's fault: a control payload over 125 bytes, a close code that
            must not be sent, text with lone surrogates.
        """
        if isinstance(event, Message):
            if isinstance(event.data, str):
                return self.framing(event.data.encode())
            if self._deflate is None:
                return binary_frame(event.data)
            return binary_framing(self._deflate)(event.data)
        if isinstance(event, Ping):
            return ping_frame(event.payload)
        if isinstance(event, Pong):
            return pong_frame(event.payload)
        return close_frame(event.code, event.reason)

    def _parse(self, data: bytes, events: list[WebSocketEvent]) -> None:
        """Take all of ``data``, but for the beginning of a frame that says too little yet.

        The loop's first branch is the fast path: whole, short text messages between which nothing
        is open. Everything else, errors included, is `_take_frame`'s.
        """
        position, end = 0, len(data)
        append = events.append
        arriving = self._arriving
        if arriving is not None and arriving.left:
            position = self._add(arriving, data, 0, events)
        longest = self._longest if self._arriving is None else 0
        while position < end:
            start = position + 6
            if (
                start <= end
                and data[position] == _WHOLE_TEXT
                and _MASK <= (length := data[position + 1]) <= longest
                and (stop := start + length - _MASK) <= end
            ):
                append(Message(apply_mask(data[start:stop], data[position + 2 : start]).decode()))
                position = stop
                continue
            position = self._take_frame(data, position, events)
            if position < 0 or self._closed:
                return
            longest = self._longest if self._arriving is None else 0

    def _take_frame(self, data: bytes, position: int, events: list[WebSocketEvent]) -> int:
        """Handle one frame, or what there is of it; where to go on, or -1 if that takes more."""
        available = len(data) - position
        if available < 2:
            return self._keep(data, position, 2)
        first, length = data[position], data[position + 1] & ~_MASK
        if _FAULTS[first]:
            raise ProtocolError(_FAULTS[first])
        if first & _RSV1 and self._deflate is None:
            raise ProtocolError("a compressed message without permessage-deflate")
        if not data[position + 1] & _MASK:
            raise ProtocolError("a frame without a mask")  # section 5.1
        opcode, start = first & _OPCODE, position + 6
        if opcode in _CONTROL:
            return self._take_control(opcode, length, data, position, events)
        if length > MAX_CONTROL_PAYLOAD:
            width, exceeds = _EXTENDED[length]
            if available < 2 + width:
                return self._keep(data, position, 2 + width)
            length = int.from_bytes(data[position + 2 : position + 2 + width], "big")
            start += width
            if length <= exceeds or length >> 63:
                raise ProtocolError("a frame whose length is not in its one valid form")
        self._check_order_and_size(opcode, length, bool(first & _RSV1))
        if len(data) < start:
            return self._keep(data, position, start - position)
        return self._take_data(first, length, data, start, events)

    def _take_control(
        self, opcode: int, length: int, data: bytes, position: int, events: list[WebSocketEvent]
    ) -> int:
        if length > MAX_CONTROL_PAYLOAD:
            raise ProtocolError("a control frame over 125 bytes")
        start = position + 6
        if len(data) < start + length:
            return self._keep(data, position, 6 + length)
        payload = apply_mask(data[start : start + length], data[start - 4 : start])
        events.append(_CONTROL_EVENTS[opcode](payload))
        self._closed = opcode == CLOSE
        return start + length

    def _take_data(
        self, first: int, length: int, data: bytes, start: int, events: list[WebSocketEvent]
    ) -> int:
        """A data frame whose header is whole and whose payload, masked, begins at ``start``."""
        opcode, fin, compressed = first & _OPCODE, bool(first & _FIN), bool(first & _RSV1)
        mask, arriving = data[start - 4 : start], self._arriving
        if arriving is None:
            if fin and len(data) >= start + length:
                payload = apply_mask(data[start : start + length], mask)
                self._deliver(opcode, payload, compressed, events)
                return start + length
            arriving = self._arriving = _Arriving(opcode, compressed)
        arriving.begin_frame(length, mask, fin)
        return self._add(arriving, data, start, events)

    def _keep(self, data: bytes, position: int, needed: int) -> int:
        """Wait for ``needed`` bytes before looking at this frame again: no byte is parsed twice
        because a client sends its frame in small pieces."""
        self._buffer = bytearray(memoryview(data)[position:])
        self._needed = needed
        return -1

    def _check_order_and_size(self, opcode: int, length: int, compressed: bool) -> None:
        arriving = self._arriving
        if (opcode == CONTINUATION) != (arriving is not None):
            raise ProtocolError(
                "a continuation of no message"
                if arriving is None
                else "a new message inside a fragmented one"
            )
        limit = self._limit
        if arriving is not None:
            length += len(arriving.payload)
            compressed = arriving.compressed
        if compressed:
            # What does not compress grows: five bytes per stored block, of 4 KB in small windows.
            limit += limit // 512 + 64
        if length > limit:
            raise ProtocolError(
                f"a message over {self._limit} bytes", close_code=CloseCode.MESSAGE_TOO_BIG
            )

    def _add(
        self, arriving: _Arriving, data: bytes, start: int, events: list[WebSocketEvent]
    ) -> int:
        """Give a message what ``data`` has of its frame's payload; where the next frame starts."""
        stop = min(start + arriving.left, len(data))
        arriving.add(data[start:stop])
        if arriving.fin and not arriving.left:
            self._arriving = None
            self._deliver(arriving.opcode, arriving.payload, arriving.compressed, events)
        return stop

    def _deliver(
        self,
        opcode: int,
        payload: bytes | bytearray,
        compressed: bool,
        events: list[WebSocketEvent],
    ) -> None:
        if compressed:
            payload = inflate(payload, self._limit)
        events.append(Message(payload.decode() if opcode == TEXT else bytes(payload)))

    def _violate(self, code: int, reason: str, events: list[WebSocketEvent]) -> None:
        self._closed = True
        self._arriving = None
        events.append(MessageViolation(code, reason))


def _read_close(payload: bytes) -> Close:
    """Section 5.5.1: nothing, or a code and a reason in UTF-8."""
    if not payload:
        return Close(NO_STATUS)
    if len(payload) == 1:
        raise ProtocolError("a close frame with half a code")
    code = int.from_bytes(payload[:2], "big")
    if not is_valid_close_code(code):
        raise ProtocolError(f"a close frame with the code {code}")
    return Close(code, payload[2:].decode())


_CONTROL_EVENTS: dict[int, Callable[[bytes], Close | Ping | Pong]] = {
    CLOSE: _read_close,
    PING: Ping,
    PONG: Pong,
}
