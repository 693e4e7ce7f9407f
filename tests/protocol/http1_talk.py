"""What the tests of HTTP/1.1 say and hear: requests in bytes, and short ways to their events."""

from __future__ import annotations

from collections.abc import Iterable

from seaway.protocol.events import (
    DataReceived,
    Event,
    RequestReceived,
    ResponseData,
    ResponseStarted,
    ViolationReceived,
)
from seaway.protocol.http1 import Http1Connection, HttpLimits

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"


def request(*lines: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join([method + b" / " + version, b"Host: a", *lines, b"", b""])


def only(connection: Http1Connection, data: bytes) -> RequestReceived:
    (event,) = connection.receive(data)
    assert isinstance(event, RequestReceived)
    return event


def refused(data: bytes, limits: HttpLimits | None = None) -> int:
    """The status with which the last event of ``data`` refuses it."""
    connection = Http1Connection(limits)
    *_, last = connection.receive(data)
    assert isinstance(last, ViolationReceived), last
    assert last.reason
    assert connection.receive(GET) == []
    return last.status


def answer(connection: Http1Connection, body: bytes = b"ok", *more: tuple[bytes, bytes]) -> bytes:
    stream = connection.answering
    headers = [(b"content-length", b"%d" % len(body)), (b"date", b"now"), *more]
    head = connection.send(ResponseStarted(stream, 200, headers))
    return head + connection.send(ResponseData(stream, body, ended=True))


def joined(events: Iterable[Event]) -> list[Event]:
    """The events with neighbouring parts of a body joined: where bytes are split, parts are too."""
    result: list[Event] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, DataReceived) and isinstance(last, DataReceived):
            result[-1] = DataReceived(last.stream, last.data + event.data)
        else:
            result.append(event)
    return result
