"""The answering half of HTTP/1.1: one exchange's response as bytes (RFC 9112 sections 6 and 9).

What lives here: `Exchange`, which remembers what a response needs to know of its request, chooses
the response's framing and holds the application to it.
What must not: parsing, the order of responses (`http1` keeps that).
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from seaway.exceptions import ResponseError

from .date import DATE
from .events import (
    Headers,
    InterimResponse,
    ResponseData,
    ResponseStarted,
    ResponseTrailers,
)
from .headers import Remembered, check_response_text, response_name, token_list

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus
}
#: Header fields by which framing and persistence are decided: ours to write, not the application's.
_OURS = frozenset({b"content-length", b"transfer-encoding", b"connection", b"date"})
#: Statuses whose responses have no content (RFC 9110 sections 15.3.5 and 15.4.5).
_WITHOUT_CONTENT = frozenset({204, 304})
SWITCHING_PROTOCOLS = 101


def _status_line(status: int) -> bytes:
    if not 100 <= status <= 999:
        raise ResponseError(f"the application sent the status {status}: not a three-digit number")
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status


def _beginning(name: bytes) -> bytes:
    """How the line of a field begins; empty for those that are ours to write.

    Raises `ResponseError` unless ``name`` is a token.
    """
    lower = response_name(name)
    return b"" if lower in _OURS else lower + b": "


_BEGINNINGS = Remembered(_beginning)


def _content_length(value: bytes) -> int:
    if not value.isdigit():
        raise ResponseError(f"the application sent a Content-Length that is no number: {value!r}")
    return int(value)


def _head(lines: list[bytes], headers: Headers) -> bytes:
    check_response_text(b"".join(lines), headers)
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _plain_head(status: int, headers: Headers) -> bytes:
    """A 1xx head: the headers as they are, and nothing of ours."""
    lines = [_status_line(status)]
    lines += [response_name(name) + b": " + value for name, value in headers]
    return _head(lines, headers)


class Coding(NamedTuple):
    """How a body whose length is not known in advance is written, for those who write it
    themselves: all that have the same share these functions.

    :ivar frame: from a part of the body, not empty, to what is written for it.
    :ivar end: what is written after the last part.
    """

    frame: Callable[[bytes], bytes]
    end: bytes


def _chunk(part: bytes) -> bytes:
    """RFC 9112 section 7.1."""
    return b"%x\r\n%b\r\n" % (len(part), part)


def _bare(part: bytes) -> bytes:
    return part


_LAST_CHUNK = b"0\r\n\r\n"


#: Writes a part of a body: the exchange, the part, and whether it is the last.
Writer = Callable[["Exchange", bytes, bool], bytes]


class Exchange(msgspec.Struct, eq=False, gc=False):
    """One request's answer, from interim responses to the last byte.

    A struct for its constructor: each request makes one. It refers to no other object that could
    refer to it.

    :param head_only: the request was HEAD: its response has a head only.
    :param old: the request was HTTP/1.0: no chunks and no interim responses.
    :param closes: the connection ends with this response; final once the response has started.
    :param upgradable: the request asked for another protocol.
    :param awaits_continue: the client holds its body back until it sees a 100.
    """

    stream: int
    head_only: bool = False
    old: bool = False
    closes: bool = False
    upgradable: bool = False
    awaits_continue: bool = False
    #: What writes the response's body, once the response has started.
    writer: Writer | None = None
    #: Bytes that a body of counted length still has to have.
    due: int = 0

    @property
    def started(self) -> bool:
        """Whether the final response's head has been sent."""
        return self.writer is not None

    def interim(self, event: InterimResponse) -> bytes:
        """A 1xx response, or nothing for an HTTP/1.0 client (RFC 9110 section 15.2)."""
        if self.writer is not None:
            raise ResponseError("the application sent an interim response after the final one")
        if not 100 <= event.status <= 199 or event.status == SWITCHING_PROTOCOLS:
            raise ResponseError(f"the application sent {event.status} as an interim response")
        if event.status == 100:
            self.awaits_continue = False
        if self.old:
            return b""
        return _plain_head(event.status, event.headers)

    def start(self, event: ResponseStarted) -> bytes:
        """The final response's head, with the framing that its status and headers call for."""
        return self.begin(event.status, event.headers)

    def begin(self, status: int, headers: Headers) -> bytes:
        """`start` without an event."""
        if self.writer is not None:
            raise ResponseError("the application started a second response to one request")
        if status < 200:
            return self._switch(status, headers)
        lines = [_STATUS_LINES.get(status) or _status_line(status)]
        length: bytes | None = None
        date: bytes | None = None
        for field, value in headers:
            beginning = _BEGINNINGS[field]
            if beginning:
                lines.append(beginning + value)
                continue
            name = response_name(field)
            if name == b"content-length":
                if length is not None and length != value:
                    raise ResponseError("the application sent two different Content-Lengths")
                length = value
            elif name == b"date":
                date = b"date: " + value
            elif name == b"connection" and b"close" in token_list((value,)):
                self.closes = True
        lines.append(date or DATE.now().line)
        writer = self._frame(lines, status, length)
        # A client that still waits for its 100 may send its body or not: only closing tells where
        # the next request would start (RFC 9110 section 10.1.1).
        if self.closes or self.awaits_continue:
            self.closes = True
            lines.append(b"connection: close")
        elif self.old:
            lines.append(b"connection: keep-alive")
        head = _head(lines, headers)
        self.writer = writer
        return head

    def open(self, status: int, headers: Headers, data: bytes, ended: bool) -> tuple[bytes, bytes]:
        """The final response's head, and the first part of its body in its framing.

        :raises ResponseError: nothing may be sent; another response can take this one's place.
        """
        head = self.begin(status, headers)
        assert self.writer is not None  # noqa: S101 - for the type checker
        try:
            return head, self.writer(self, data, ended)
        except ResponseError:
            self.writer = None
            raise

    def start_coded(self, event: ResponseStarted) -> tuple[bytes, Coding]:
        """The final response's head, and the coding of its body.

        :raises ResponseError: as `open` does, and for a body whose length is fixed.
        """
        head = self.start(event)
        coding = _CODINGS.get(self.writer)
        if coding is None:
            self.writer = None
            raise ResponseError("the application streams a response whose length is fixed")
        return head, coding

    def data(self, event: ResponseData) -> bytes:
        """A part of the response's body in its framing."""
        if self.writer is None:
            raise ResponseError("the application sent a body before the response's head")
        return self.writer(self, event.data, event.ended)

    @property
    def left(self) -> int:
        """Bytes that a body of counted length still has to have; -1 for any other."""
        return self.due if self.writer is _write_counted else -1

    def skip(self, size: int) -> None:
        """So many bytes of a body of counted length were sent past this object."""
        self.due -= size

    def trailers(self, event: ResponseTrailers) -> bytes:
        """The end of a body that trailers follow; they are dropped where the framing has no place
        for them (RFC 9112 section 7.1.2)."""
        if self.writer is not _write_chunk:
            return self.data(ResponseData(event.stream, b"", ended=True))
        lines = [b"0", *(response_name(name) + b": " + value for name, value in event.headers)]
        return _head(lines, event.headers)

    def _switch(self, status: int, headers: Headers) -> bytes:
        if status != SWITCHING_PROTOCOLS:
            raise ResponseError(f"the application sent {status} as a final response")
        if not self.upgradable:
            raise ResponseError("the application sent 101, but the request asked for no upgrade")
        head = _plain_head(status, headers)
        self.writer = _write_nothing
        return head

    def _frame(self, lines: list[bytes], status: int, length: bytes | None) -> Writer:
        """Add the line that frames the body; return what writes it (RFC 9112 section 6.3)."""
        if length is not None:
            self.due = _content_length(length)
            if status != 204:
                lines.append(b"content-length: " + length)
        if status in _WITHOUT_CONTENT:
            return _write_nothing
        if self.head_only:
            return _write_head_only
        if length is not None:
            return _write_counted
        if self.old:
            self.closes = True
            return _write_until_close
        lines.append(b"transfer-encoding: chunked")
        return _write_chunk


def _write_counted(exchange: Exchange, data: bytes, ended: bool) -> bytes:
    exchange.due = due = exchange.due - len(data)
    if due < 0:
        exchange.closes = True
        raise ResponseError(f"the application sent {-due} bytes over its Content-Length")
    if ended and due:
        exchange.closes = True
        raise ResponseError(f"the application sent {due} bytes under its Content-Length")
    return data


def _write_chunk(_exchange: Exchange, data: bytes, ended: bool) -> bytes:
    # An empty chunk would end the body (RFC 9112 section 7.1).
    chunk = _chunk(data) if data else b""
    return chunk + _LAST_CHUNK if ended else chunk


def _write_until_close(_exchange: Exchange, data: bytes, _ended: bool) -> bytes:
    return data


def _write_head_only(_exchange: Exchange, _data: bytes, _ended: bool) -> bytes:
    # RFC 9110 section 9.3.2: applications may well make the body that GET would have.
    return b""


def _write_nothing(_exchange: Exchange, data: bytes, _ended: bool) -> bytes:
    if data:
        raise ResponseError("the application sent a body with a status that cannot have one")
    return b""


#: How a body is written whose length is not known in advance, by what writes its parts here.
_CODINGS: dict[Writer | None, Coding] = {
    _write_chunk: Coding(_chunk, _LAST_CHUNK),
    # For HTTP/1.0: the end of the connection is the end of the body.
    _write_until_close: Coding(_bare, b""),
}
