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


class _Fragments:
    """A message of which some frames are still to come (section 5.4)."""

    __slots__ = ("compressed", "decoder", "opcode", "payload")

    def __init__(self, opcode: int, compressed: bool) -> None:
        self.opcode = opcode
        self.compressed = compressed
        self.payload = bytearray()
        # Invalid text is refused in the fragment where it shows (section 8.1). The decoder only
        # checks: a list of decoded parts would cost a client's one-byte fragments 60 bytes each.
        self.decoder = _new_utf8_decoder() if opcode == TEXT and not compressed else None

    def add(self, payload: bytes, fin: bool) -> None:
        self.payload += payload
        if self.decoder is not None:
            self.decoder.decode(payload, fin)


class WebSocketConnection:
    """One connection's WebSocket, from the first byte after the handshake.

    Keeps nothing while nothing is pending: no buffer, no decoder, no compressor.

    :param max_message_bytes: a larger message is refused with 1009 as soon as a frame's header
        announces it.
    :param deflate: what `handshake.accept` agreed to.
    """

    __slots__ = ("_buffer", "_closed", "_deflate", "_fragments", "_limit", "_needed", "framing")

    framing: Callable[[bytes], bytes]
    """Frames one text message (UTF-8) for this connection; see `Framing` in server/handoff.py."""

    def __init__(self, max_message_bytes: int, deflate: DeflateParameters | None = None) -> None:
        self._limit = max_message_bytes
        self._deflate = deflate
        self._buffer: bytearray | None = None
        self._needed = 0
        self._fragments: _Fragments | None = None
        self._closed = False
        self.framing = text_frame if deflate is None else text_framing(deflate)

    @property
    def message_pending(self) -> bool:
        """Whether a part of a message or frame has arrived and the rest has not."""
        return self._buffer is not None or self._fragments is not None

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
        """Take whole frames off ``data``; keep what is left.

        The loop's first branch is the fast path: whole, short text messages between which nothing
        is open. Everything else, errors included, is `_take_frame`'s.
        """
        position, end = 0, len(data)
        append = events.append
        # Masked, with a length in seven bits, and within the limit.
        longest = _MASK + min(MAX_CONTROL_PAYLOAD, self._limit) if self._fragments is None else 0
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
            longest = (
                _MASK + min(MAX_CONTROL_PAYLOAD, self._limit) if self._fragments is None else 0
            )

    def _take_frame(self, data: bytes, position: int, events: list[WebSocketEvent]) -> int:
        """Handle one frame; where the next starts, or -1 if this one is not complete."""
        available = len(data) - position
        if available < 2:
            return self._keep(data, position, 2)
        first, second = data[position], data[position + 1]
        if _FAULTS[first]:
            raise ProtocolError(_FAULTS[first])
        if first & _RSV1 and self._deflate is None:
            raise ProtocolError("a compressed message without permessage-deflate")
        if not second & _MASK:
            raise ProtocolError("a frame without a mask")  # section 5.1
        opcode, length, header = first & _OPCODE, second & ~_MASK, 6
        if length > MAX_CONTROL_PAYLOAD:
            if opcode in _CONTROL:
                raise ProtocolError("a control frame over 125 bytes")
            width, exceeds = _EXTENDED[length]
            if available < 2 + width:
                return self._keep(data, position, 2 + width)
            length = int.from_bytes(data[position + 2 : position + 2 + width], "big")
            header += width
            if length <= exceeds or length >> 63:
                raise ProtocolError("a frame whose length is not in its one valid form")
        if opcode not in _CONTROL:
            self._check_order_and_size(opcode, length, bool(first & _RSV1))
        if available < header + length:
            return self._keep(data, position, header + length)
        start = position + header
        payload = apply_mask(data[start : start + length], data[start - 4 : start])
        if opcode in _CONTROL:
            events.append(_CONTROL_EVENTS[opcode](payload))
            self._closed = opcode == CLOSE
        else:
            self._take_data(first, payload, events)
        return start + length

    def _keep(self, data: bytes, position: int, needed: int) -> int:
        """Wait for ``needed`` bytes before looking at this frame again: no byte is parsed twice
        because a client sends its frame in small pieces."""
        self._buffer = bytearray(memoryview(data)[position:])
        self._needed = needed
        return -1

    def _check_order_and_size(self, opcode: int, length: int, compressed: bool) -> None:
        fragments = self._fragments
        if (opcode == CONTINUATION) != (fragments is not None):
            raise ProtocolError(
                "a continuation of no message"
                if fragments is None
                else "a new message inside a fragmented one"
            )
        limit = self._limit
        if fragments is not None:
            length += len(fragments.payload)
            compressed = fragments.compressed
        if compressed:
            # What does not compress grows: five bytes per stored block, of 4 KB in small windows.
            limit += limit // 512 + 64
        if length > limit:
            raise ProtocolError(
                f"a message over {self._limit} bytes", close_code=CloseCode.MESSAGE_TOO_BIG
            )

    def _take_data(self, first: int, payload: bytes, events: list[WebSocketEvent]) -> None:
        fin, opcode, compressed = bool(first & _FIN), first & _OPCODE, bool(first & _RSV1)
        fragments = self._fragments
        if fragments is None and not fin:
            fragments = self._fragments = _Fragments(opcode, compressed)
        if fragments is not None:
            fragments.add(payload, fin)
            if not fin:
                return
            self._fragments = None
            opcode, compressed = fragments.opcode, fragments.compressed
            payload = bytes(fragments.payload)
        if compressed:
            payload = inflate(payload, self._limit)
        events.append(Message(payload.decode() if opcode == TEXT else payload))

    def _violate(self, code: int, reason: str, events: list[WebSocketEvent]) -> None:
        self._closed = True
        self._fragments = None
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
