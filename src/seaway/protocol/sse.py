"""Server-Sent Events: messages and events to the bytes of a ``text/event-stream``.

What lives here: the framing of WHATWG HTML section 9.2 (Server-sent events), writing side only.
What must not: HTTP, sockets, what the messages mean.

A stream is UTF-8 text. CR, LF and CRLF all end a line there, and each line of an event's data is a
field of its own, which the reader joins again with LF: a CR in data arrives as LF. JSON escapes
both, so JSON arrives as it was.
"""

from __future__ import annotations

import re

CONTENT_TYPE = b"text/event-stream"

#: A line that readers skip; it keeps proxies and read time-outs from thinking that all is over.
COMMENT = b":\n\n"

_LINE_END = re.compile(rb"\r\n|\r|\n")
#: What ends a line; and U+0000, because of which readers ignore a whole ``id`` field.
_NOT_IN_A_FIELD = re.compile(rb"[\r\n\0]+")


def frame(message: bytes) -> bytes:
    """One message as one event without a name: the `seaway.server.handoff.Framing` of SSE.

    :param message: UTF-8.
    """
    # Nearly every message is JSON in one line: two scans instead of an expression and a join.
    if b"\n" in message or b"\r" in message:
        return b"%b\n" % _data(message)
    return b"data: %b\n\n" % message


def event(data: bytes, *, name: bytes = b"", id: bytes = b"") -> bytes:  # noqa: A002 - its name
    """One event with a name and an id.

    :param name: what listeners register for; empty stands for ``message``. Line breaks and NUL
        cannot be carried by a field and become one space.
    :param id: what the reader sends as ``Last-Event-ID`` when it comes back; none if empty.
    """
    head = b""
    if id:
        head += b"id: %b\n" % _field(id)
    if name:
        head += b"event: %b\n" % _field(name)
    return head + frame(data)


def retry(milliseconds: int) -> bytes:
    """How long an `EventSource` waits before it comes back."""
    return b"retry: %d\n\n" % milliseconds


def _field(value: bytes) -> bytes:
    return _NOT_IN_A_FIELD.sub(b" ", value)


def _data(message: bytes) -> bytes:
    return b"".join([b"data: %b\n" % line for line in _LINE_END.split(message)])
