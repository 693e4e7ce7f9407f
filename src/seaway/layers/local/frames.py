"""Messages as bytes: what goes over the socket between the embedded broker and its clients.

What lives here: `frame` and `Parser`. Pure: messages in, bytes out, and back.
What must not: which messages there are (`wire`), or sockets.

A frame is 4 bytes of length, big-endian, and a MessagePack array: tag, then the fields in order.
"""

from __future__ import annotations

import struct
from typing import Generic, TypeVar

import msgspec

from seaway.exceptions import ProtocolError

#: Bytes of a frame's body: a page of 4 MiB and one large event, or some 300,000 members.
MAX_FRAME = 32 * 1024 * 1024

_LENGTH = 4

M = TypeVar("M")

_unpack_length = struct.Struct(">I").unpack_from
_encode = msgspec.msgpack.Encoder().encode


def frame(message: msgspec.Struct) -> bytes:
    """A message as it goes over the wire.

    :raises ProtocolError: it is larger than the other side would take.
    """
    body = _encode(message)
    if len(body) > MAX_FRAME:
        raise ProtocolError(f"A message of {len(body):,} bytes is over the limit of {MAX_FRAME:,}.")
    return len(body).to_bytes(_LENGTH, "big") + body


class Parser(Generic[M]):
    """Bytes to messages, however they are cut. One per connection and direction."""

    __slots__ = ("_decode", "_rest")

    def __init__(self, decoder: msgspec.msgpack.Decoder[M]) -> None:
        self._decode = decoder.decode
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[M]:
        """The messages that ``data`` completes.

        :raises ProtocolError: a frame over `MAX_FRAME`, or one that is not a message. What came
            before it in ``data`` is lost with it, and the parser is of no further use.
        """
        rest = self._rest
        source: bytes | bytearray = data
        if rest:
            rest += data
            source = rest
        messages: list[M] = []
        decode = self._decode
        start, end = 0, len(source)
        try:
            while end - start >= _LENGTH:
                body = start + _LENGTH
                stop = body + _unpack_length(source, start)[0]
                if stop - body > MAX_FRAME:
                    raise ProtocolError(f"a frame of {stop - body:,} bytes is over the limit")
                if stop > end:
                    break
                messages.append(decode(source[body:stop]))
                start = stop
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ProtocolError(f"not a message of this protocol: {error}") from error
        if source is rest:
            del rest[:start]
        elif start < end:
            rest += source[start:]
        return messages
