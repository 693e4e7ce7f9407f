"""Fuzz the HTTP/1.1 parser: bytes never raise, and where they are split never matters.

How to run, from the repository's root, with seaway installed::

    python -m compliance.fuzz_http1 --seconds 10 [--seed 1]

With atheris installed (``pip install atheris``), coverage guides the inputs, and options of
libFuzzer may follow ``--``::

    python -m compliance.fuzz_http1 --seconds 600 -- corpus_dir

Without it, seeded mutations of well-formed requests are used. A finding is printed as a Python
bytes literal, ready to become a test, and the exit status is 1.
"""

from __future__ import annotations

import random
import sys

from compliance.fuzzing import run
from seaway.protocol.events import (
    DataReceived,
    Event,
    RequestReceived,
    ResponseData,
    ResponseStarted,
    ViolationReceived,
)
from seaway.protocol.http1 import Http1Connection

SEEDS = [  # one conversation's opening each
    b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"POST /a?b=c HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:chunked\r\n\r\n3;\r\nabc\r\n0\r\nT:u\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x80abcd",
    b"PUT / HTTP/1.1\r\nHost:\ta\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length:2\r\n\r\no",
    b"OPTIONS * HTTP/1.1\r\nHost: [::1]\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
    b"GET http://a/b HTTP/1.1\r\nHost: c\r\nConnection: close\r\n\r\n",
]
FRAGMENTS = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b'"', b"\r\n\r\n", b"\xff", b"#", b"*",
    b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
    b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Upgrade: websocket\r\n",
    b"Host: b\r\n", b"Expect: x\r\n", b"0\r\n\r\n", b"ffffffff\r\n", b"CONNECT ", b"PRI ",
    b"HTTP/1.1", b"HTTP/2.0",
]  # fmt: skip


def conversation(pieces: list[bytes]) -> list[Event]:
    """Feed the pieces and answer every request at once; the events, body parts joined."""
    connection = Http1Connection()
    events: list[Event] = []
    for piece in pieces:
        received = connection.receive(piece)
        while received:
            for event in received:
                _note(events, event)
                if isinstance(event, RequestReceived):
                    connection.send(ResponseStarted(event.stream, 204, []))
                    connection.send(ResponseData(event.stream, b"", ended=True))
                    if not connection.keep_alive:
                        break
            received = connection.receive(b"") if connection.resumable else []
    for event in connection.receive_eof():
        _note(events, event)
    return events


def _note(events: list[Event], event: Event) -> None:
    last = events[-1] if events else None
    if isinstance(last, ViolationReceived):
        raise AssertionError("an event after a violation")
    if isinstance(event, DataReceived) and isinstance(last, DataReceived):
        events[-1] = DataReceived(last.stream, last.data + event.data)
    elif isinstance(event, ViolationReceived):
        # In a head with two faults the split decides which of them shows first.
        events.append(ViolationReceived(0, ""))
    else:
        events.append(event)


def check(data: bytes) -> None:
    """Raises AssertionError, or whatever the parser lets through."""
    whole = unanswered([data])
    bytewise = unanswered([data[at : at + 1] for at in range(len(data))])
    if whole != bytewise:
        raise AssertionError(f"split differently:\n{whole}\n{bytewise}")
    conversation([data])
    conversation([data[at : at + 1] for at in range(len(data))])


def unanswered(pieces: list[bytes]) -> list[Event]:
    """The events of the pieces while nothing is answered."""
    connection = Http1Connection()
    events: list[Event] = []
    for piece in [*pieces, None]:
        received = connection.receive_eof() if piece is None else connection.receive(piece)
        for event in received:
            _note(events, event)
    return events


def mutate(source: random.Random) -> bytes:
    """One or two requests with a few things broken."""
    data = bytearray(b"".join(source.choices(SEEDS, k=source.choice((1, 1, 2)))))
    for _ in range(source.randrange(6)):
        at = source.randrange(len(data) + 1)
        match source.randrange(4):
            case 0:
                data[at:at] = source.choice(FRAGMENTS)
            case 1:
                del data[at : at + source.randrange(1, 8)]
            case 2:
                data[at : at + 1] = bytes((source.randrange(256),))
            case _:
                data[at:at] = data[source.randrange(len(data) + 1) :][: source.randrange(40)]
    return bytes(data)


if __name__ == "__main__":
    sys.exit(run("the HTTP/1.1 parser", check, mutate))
