"""Fuzz the HTTP/2 connection: bytes never raise, and where they are split never matters.

How to run: see README.md in this folder.
"""

from __future__ import annotations

import random
import sys

from compliance.fuzzing import run
from compliance.http2_frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PADDED,
    PING,
    POST,
    PREFACE,
    block,
    data,
    frame,
    headers,
    priority,
    rst_stream,
    settings,
    window_update,
)
from seaway.protocol.events import (
    DataReceived,
    Event,
    InterimResponse,
    RequestReceived,
    StreamReset,
    ViolationReceived,
    WindowOpened,
)
from seaway.protocol.http2 import Http2Connection

FRAMES = [
    headers(1),
    headers(3, POST, end=False),
    headers(3, (("x", "y"),)),
    headers(5, POST, end=False, flags=0),
    frame(CONTINUATION, END_HEADERS, 5, block((("a", "b"),))),
    data(3, b"hello"),
    data(3, b"end", end=True),
    data(5),
    frame(DATA, PADDED, 3, b"\2ok\0\0"),
    frame(HEADERS, END_HEADERS, 7, b"\x82\x86\x84\x41\x01a\x40\x01b\x01c"),
    frame(HEADERS, END_HEADERS, 9, b"\x82\x86\x84\xbe\xbf"),
    settings(),
    settings((4, 1), (5, 16384)),
    frame(PING, 0, 0, b"12345678"),
    rst_stream(3),
    priority(5, 0),
    window_update(0, 100),
    window_update(3, 1),
    frame(0x42, 0, 0, b"?"),
]


def conversation(pieces: list[bytes], *, answer: bool) -> list[Event]:
    """Feed the pieces; the events but those of windows, each DATA frame's by itself."""
    connection = Http2Connection(clock=lambda: 0.0)
    events: list[Event] = []
    for piece in pieces:
        for event in connection.receive(piece):
            _note(events, event)
            if answer and isinstance(event, RequestReceived):
                _answer(connection, event.stream)
            elif answer and isinstance(event, DataReceived):
                connection.acknowledge(event.stream, len(event.data))
        connection.data_to_send()
        for event in connection.settle():
            _note(events, event)
    return events


def _answer(connection: Http2Connection, stream: int) -> None:
    connection.send(InterimResponse(stream, 103, [(b"link", b"<a>")]))
    connection.answer(stream, 200, [], b"hello", True)


def _note(events: list[Event], event: Event) -> None:
    last = events[-1] if events else None
    if isinstance(last, ViolationReceived):
        raise AssertionError("an event after a violation")
    if isinstance(event, ViolationReceived):
        # Which of two faults shows first is a matter of the split.
        events.append(ViolationReceived(0, ""))
    elif not isinstance(event, WindowOpened):
        events.append(event)


def check(received: bytes) -> None:
    """Raises AssertionError, or whatever the connection lets through."""
    data = PREFACE + settings() + received
    bytewise = [data[at : at + 1] for at in range(len(data))]
    whole = _comparable(conversation([data], answer=False))
    split = _comparable(conversation(bytewise, answer=False))
    if whole != split:
        raise AssertionError(f"split differently:\n{whole}\n{split}")
    conversation([data], answer=True)
    conversation(bytewise, answer=True)


def _comparable(events: list[Event]) -> list[Event]:
    """The events of each stream in their order. That of different streams may depend on the split,
    and a violation ends all of them: one that was reset just before may not be told apart."""
    if events and isinstance(events[-1], ViolationReceived):
        events = [event for event in events if not isinstance(event, StreamReset)]
    return sorted(events, key=lambda event: getattr(event, "stream", 1 << 31))


def mutate(source: random.Random) -> bytes:
    """A few frames in any order, with some things broken."""
    data = bytearray(b"".join(source.choices(FRAMES, k=source.randrange(1, 8))))
    for _ in range(source.choice((0, 0, 1, 2, 4))):
        at = source.randrange(len(data) + 1)
        match source.randrange(3):
            case 0:
                data[at:at] = source.choice(FRAMES)
            case 1:
                del data[at : at + source.randrange(1, 8)]
            case _:
                data[at : at + 1] = bytes((source.randrange(256),))
    return bytes(data)


if __name__ == "__main__":
    sys.exit(run("the HTTP/2 connection", check, mutate))
