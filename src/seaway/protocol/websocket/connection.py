"""WebSocket messages for a server: bytes in, messages out, and back (RFC 6455 sections 5 to 8).

What lives here: `WebSocketConnection`, the parser of what a client sends, and the limits on it.
What must not: what one frame may look like (`rules`), a message's pieces (`arriving`), sockets,
time-outs, the policy of answering pings and closes.
"""

from __future__ import annotations

from collections.abc import Callable

from seaway.exceptions import CloseCode, ProtocolError
from seaway.protocol.events import Close, Message, MessageViolation, Ping, Pong

from .arriving import Arriving, apply_mask
from .deflate import DeflateParameters, binary_framing, inflate, text_framing
from .frames import (
    CLOSE,
    CONTINUATION,
    MAX_CONTROL_PAYLOAD,
    PING,
    PONG,
    TEXT,
    binary_frame,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
)
from .rules import CONTROL, EXTENDED, FAULTS, FIN, MASK, OPCODE, RSV1, read_close

WebSocketEvent = Message | Ping | Pong | Close | MessageViolation

#: First byte of a whole, uncompressed text message: the frame that the fast path is for.
_WHOLE_TEXT = FIN | TEXT


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
        self._longest = MASK + min(MAX_CONTROL_PAYLOAD, max_message_bytes)
        self._deflate = deflate
        self._buffer: bytearray | None = None
        self._needed = 0
        self._arriving: Arriving | None = None
        self._closed = False
        self.framing = text_frame if deflate is None else text_framing(deflate)

    def limit_messages(self, size: int) -> None:
        """Refuse messages over ``size`` bytes from the next one on, if the limit was higher."""
        self._limit = min(self._limit, size)
        self._longest = min(self._longest, MASK + min(MAX_CONTROL_PAYLOAD, size))

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
                and MASK <= (length := data[position + 1]) <= longest
                and (stop := start + length - MASK) <= end
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
        first, length = data[position], data[position + 1] & ~MASK
        if FAULTS[first]:
            raise ProtocolError(FAULTS[first])
        if first & RSV1 and self._deflate is None:
            raise ProtocolError("a compressed message without permessage-deflate")
        if not data[position + 1] & MASK:
            raise ProtocolError("a frame without a mask")  # section 5.1
        opcode, start = first & OPCODE, position + 6
        if opcode in CONTROL:
            return self._take_control(opcode, length, data, position, events)
        if length > MAX_CONTROL_PAYLOAD:
            width, exceeds = EXTENDED[length]
            if available < 2 + width:
                return self._keep(data, position, 2 + width)
            length = int.from_bytes(data[position + 2 : position + 2 + width], "big")
            start += width
            if length <= exceeds or length >> 63:
                raise ProtocolError("a frame whose length is not in its one valid form")
        self._check_order_and_size(opcode, length, bool(first & RSV1))
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
        opcode, fin, compressed = first & OPCODE, bool(first & FIN), bool(first & RSV1)
        mask, arriving = data[start - 4 : start], self._arriving
        if arriving is None:
            if fin and len(data) >= start + length:
                payload = apply_mask(data[start : start + length], mask)
                self._deliver(opcode, payload, compressed, events)
                return start + length
            arriving = self._arriving = Arriving(opcode, compressed)
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
        self, arriving: Arriving, data: bytes, start: int, events: list[WebSocketEvent]
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


_CONTROL_EVENTS: dict[int, Callable[[bytes], Close | Ping | Pong]] = {
    CLOSE: read_close,
    PING: Ping,
    PONG: Pong,
}
