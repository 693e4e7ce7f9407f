"""Fuzz the WebSocket parser: against itself split differently, and against ``websockets``.

How to run, from the repository's root, with seaway installed::

    python -m compliance.fuzz_websocket --seconds 10 [--seed 1]

With atheris installed (``pip install atheris``), coverage guides the inputs, and options of
libFuzzer may follow ``--``::

    python -m compliance.fuzz_websocket --seconds 600 -- corpus_dir

Without it, seeded mutations of well-formed frames are used. A finding is printed as a Python bytes
literal, ready to become a test, and the exit status is 1. The first byte of an input chooses
whether permessage-deflate is on; the rest is what a client sends.
"""

from __future__ import annotations

import random
import sys
import zlib

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side

from compliance.fuzzing import run
from seaway.protocol.events import Close, Message, MessageViolation, Ping, Pong
from seaway.protocol.websocket.connection import WebSocketConnection
from seaway.protocol.websocket.deflate import DeflateParameters

LIMIT = 4096
PAYLOADS = [
    b"", b"hello", "κόσμε".encode(), b"\xce\xba\xed\xa0\x80", b"\xf4\x90\x80\x80", b"x" * 125,
    b"x" * 126, b"x" * 4096, b"x" * 4097, b"\x03\xe8bye", b"\x03\xed", b"\x03", b"\x03\xe8\xff",
]  # fmt: skip

#: ``websockets`` takes lengths in a longer form than needed (RFC 6455 section 5.2 forbids them).
LENGTH_FAULTS = {
    "a control frame over 125 bytes",
    "a frame whose length is not in its one valid form",
}
STRICTER = "length"

Plain = tuple[str, object]


def ours(pieces: list[bytes], deflate: bool) -> list[Plain]:
    """What our parser makes of the pieces: messages and controls, and "violation" at the end."""
    connection = WebSocketConnection(LIMIT, DeflateParameters() if deflate else None)
    found: list[Plain] = []
    for piece in pieces:
        for event in connection.receive(piece):
            if found and found[-1][0] in {"violation", "close"}:
                raise AssertionError("an event after the last one")
            found.append(_plain(event))
    return found


def _plain(event: Message | Ping | Pong | Close | MessageViolation) -> Plain:
    if isinstance(event, Message):
        return "message", event.data
    if isinstance(event, (Ping, Pong)):
        return type(event).__name__.lower(), event.payload
    if isinstance(event, Close):
        return "close", (event.code, event.reason)
    return "violation", STRICTER if event.reason in LENGTH_FAULTS else event.code


def theirs(data: bytes, deflate: bool) -> list[Plain]:
    """The same from ``websockets``, whose frames are put together to messages here."""
    extensions = [PerMessageDeflate(True, True, 15, 15)] if deflate else []
    protocol = Protocol(Side.SERVER, max_size=None)
    protocol.extensions = list(extensions)
    protocol.receive_data(data)
    found: list[Plain] = []
    opcode, parts = Opcode.CONT, bytearray()
    for frame in protocol.events_received():
        if not isinstance(frame, Frame):
            raise TypeError(f"not a frame: {frame!r}")
        if frame.opcode in {Opcode.PING, Opcode.PONG}:
            found.append((frame.opcode.name.lower(), bytes(frame.data)))
        elif frame.opcode is not Opcode.CLOSE:
            opcode = opcode if frame.opcode is Opcode.CONT else frame.opcode
            parts += frame.data
            if frame.fin:
                text = opcode is Opcode.TEXT
                try:
                    found.append(("message", parts.decode() if text else bytes(parts)))
                except UnicodeDecodeError:
                    return [*found, ("violation", 1002)]
                parts = bytearray()
    if protocol.close_rcvd is not None:
        found.append(("close", (protocol.close_rcvd.code, protocol.close_rcvd.reason)))
    elif protocol.parser_exc is not None and not isinstance(protocol.parser_exc, EOFError):
        found.append(("violation", 1002))
    return found


def check(sample: bytes) -> None:
    """Raises AssertionError, or whatever a parser lets through."""
    deflate, data = bool(sample[:1] and sample[0] & 1), sample[1:]
    whole = ours([data], deflate)
    bytewise = ours([data[at : at + 1] for at in range(len(data))], deflate)
    if whole != bytewise:
        raise AssertionError(f"split differently:\n{whole}\n{bytewise}")
    reference = theirs(data, deflate)
    if not _agree(whole, reference, deflate):
        raise AssertionError(f"not as websockets has it:\n{whole}\n{reference}")


def _agree(whole: list[Plain], reference: list[Plain], deflate: bool) -> bool:
    """Equal, but for where we are meant to differ.

    We refuse a frame by its header, lengths in a longer form than needed, what is over the limit,
    and text at its first invalid fragment; the reference wants the whole frame, runs without a
    limit, and sees text when it is complete. It inflates a fragmented message frame by frame, and
    so may refuse one before us.
    """
    ours_end = whole[-1] if whole else ("", None)
    theirs_end = reference[-1] if reference else ("", None)
    if ours_end[0] == "violation":
        before, rest = whole[:-1], reference[len(whole) - 1 :]
        early = not rest or rest[0][0] == "violation" or ours_end[1] in {1007, 1009, STRICTER}
        return early and reference[: len(before)] == before
    if deflate and theirs_end[0] == "violation":
        return reference[:-1] == whole[: len(reference) - 1]
    return whole == reference


def frame(first: int, payload: bytes, mask: bytes) -> bytes:
    """A client's frame, whatever its first byte."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def compressed(payload: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return (deflater.compress(payload) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def mutate(source: random.Random) -> bytes:
    """A few frames, mostly well formed, with a few bytes broken."""
    data = bytearray()
    for _ in range(source.randrange(1, 6)):
        first = source.choice((0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x80, 0x89, 0x8A, 0x88, 0xC1))
        payload = source.choice(PAYLOADS)
        if first & 0x40:
            payload = compressed(payload)
        data += frame(first, payload, source.randbytes(4))
    for _ in range(source.choice((0, 0, 0, 1, 2))):
        at = source.randrange(min(len(data), 40))
        if source.random() < 0.5:
            data[at] = source.randrange(256)
        else:
            del data[at : at + source.randrange(1, 4)]
    return bytes((source.randrange(2),)) + bytes(data)


if __name__ == "__main__":
    sys.exit(run("the WebSocket parser", check, mutate))
