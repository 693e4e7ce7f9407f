"""The listening half of HTTP/1.1: llhttp's callbacks become events, strictly (RFC 9112).

What lives here: the limits, and `RequestReader`, the object that llhttp calls.
What must not: the rules for a head (`http1_rules`), answers, the holding back of bytes behind an
upgrade (both in `http1`), the raw bytes of a request line (`http1_borders`).
"""

from __future__ import annotations

import enum
from collections import deque

import httptools
import msgspec

from seaway.exceptions import ProtocolError

from .events import DataReceived, Event, Headers, RequestEnded, RequestReceived
from .headers import Remembered
from .http1_borders import OVERLAP, check_line, piece_end
from .http1_response import Exchange
from .http1_rules import (
    PERSISTENT_BY_DEFAULT,
    check_target,
    connection_options,
    expects_continue,
    has_body,
    refusal,
)


class HttpLimits(msgspec.Struct, frozen=True):
    """How much is read before a request is refused.

    :param header_bytes: the whole head, request line included; over it: 431.
    :param header_count: fields in head and trailers together; over it: 431.
    :param target_bytes: the request target; over it: 414.
    :param unanswered: requests taken before the first of them is answered; over it: 429. A read of
        256 KB holds ten thousand pipelined requests, each of which takes 1 KB once parsed.
    """

    header_bytes: int = 65536
    header_count: int = 128
    target_bytes: int = 16384
    unanswered: int = 256


class Phase(enum.Enum):
    """What the next byte from the peer belongs to."""

    IDLE = "idle"  # a new request
    HEAD = "head"  # a request's head
    BODY = "body"  # a request's body
    PRIMING = "priming"  # a body whose head is fed to a fresh parser once more
    HELD = "held"  # nothing known, until an upgrade is answered
    LAST = "last"  # nothing: the last request said that it is the last
    CLOSED = "closed"  # nothing: no more requests are taken
    UPGRADED = "upgraded"  # the protocol after HTTP


IDLE, HEAD, BODY, PRIMING, HELD, LAST, CLOSED, UPGRADED = Phase

#: Fields that decide framing, persistence and routing; repeated ones are joined by commas, which
#: is what they mean (RFC 9110 section 5.3). Proxy-Connection is nothing to us, but llhttp heeds it.
_MEANINGFUL = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"proxy-connection",
        b"transfer-encoding",
        b"upgrade",
    }
)
#: Names in lower case, as clients write them: all requests share these few objects, which know
#: their hashes.
_LOWERED = Remembered(
    bytes.lower,
    (
        written
        for name in (
            *_MEANINGFUL,
            *(b"accept", b"accept-encoding", b"accept-language", b"authorization"),
            *(b"cache-control", b"content-type", b"cookie", b"origin", b"referer", b"user-agent"),
        )
        for written in (name, name.title())
    ),
)
#: Takes a finished parser's place: a parser and its reader refer to each other, and would wait for
#: the garbage collector together.
_SPENT = httptools.HttpRequestParser(object())


class RequestReader:
    """Collects what llhttp finds into ``events``, and one `Exchange` per request."""

    __slots__ = (
        "_body_framing",
        "_fields",
        "_header_bytes",
        "_header_count",
        "_headers",
        "_limits",
        "_persistent",
        "_target",
        "before",
        "events",
        "exchanges",
        "fault",
        "left",
        "line",
        "parser",
        "phase",
        "size",
        "stream",
    )

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._header_bytes = limits.header_bytes
        self._header_count = limits.header_count
        self._headers: Headers = []
        self._fields: dict[bytes, bytes] = {}
        self._target = b""
        self._body_framing = b""
        self._persistent = True
        self.events: list[Event] = []
        self.exchanges: deque[Exchange] = deque()
        # Why a callback stopped llhttp. httptools chains it as a context, but any exception that is
        # being handled further up takes its place there.
        self.fault: ProtocolError | None = None
        self.phase = IDLE
        # The request's first bytes, its first line at least, and the last ones that were fed of it.
        self.line = b""
        self.before = b""
        # Bytes that a body of counted length still has to have; negative for any other.
        self.left = -1
        self.size = 0
        self.stream = 0
        self.parser = httptools.HttpRequestParser(self)

    def prime_for_body(self) -> None:
        """Go on, in phase PRIMING, after llhttp has paused at an upgrade request with a body.

        llhttp takes what follows such a head for the new protocol. RFC 9110 section 7.8 lets a
        server ignore Upgrade, so the request is treated as a plain one: a fresh parser hears a
        head that frames the same body.
        """
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % self._body_framing)

    def next_piece(self, data: bytes) -> bytes:
        """What to feed to llhttp next of a request that has begun."""
        if self.phase is HEAD and b"\n" not in self.line:
            self.line += data
        piece = data[: piece_end(data, self.before, self.left if self.phase is BODY else -1)]
        self.before = (self.before + piece[-OVERLAP:])[-OVERLAP:]
        return piece

    def finish(self, phase: Phase) -> None:
        """Parse no more: ``phase`` is one in which bytes do not reach llhttp."""
        self.phase = phase
        self.parser = _SPENT

    # Called by llhttp, in the order of the wire ----------------------------------------------

    def on_message_begin(self) -> None:
        if self.phase is IDLE:
            self.phase = HEAD
        elif self.phase is not PRIMING:
            raise self._refuse("a request after the last one")

    def on_url(self, part: bytes) -> None:
        self._target = target = self._target + part if self._target else part
        self.size += len(part)
        if len(target) > self._limits.target_bytes:
            raise self._refuse("the request target is too long", 414)

    def on_header(self, name: bytes, value: bytes) -> None:
        headers = self._headers
        self.size = size = self.size + len(name) + len(value) + 4
        if size > self._header_bytes or len(headers) >= self._header_count:
            raise self._refuse("the request's header is too large", 431)
        name = _LOWERED[name]
        value = value.rstrip(b" \t")
        headers.append((name, value))
        if name in _MEANINGFUL:
            fields = self._fields
            if name not in fields:
                fields[name] = value
            elif name == b"host":
                raise self._refuse("more than one Host header")
            else:
                fields[name] += b", " + value

    def on_headers_complete(self) -> None:
        if self.phase is PRIMING:
            self.phase = BODY
            return
        try:
            self._read_head()
        except ProtocolError as error:
            self.fault = error
            raise

    def on_body(self, data: bytes) -> None:
        if self.exchanges:
            # The newest exchange, or none when this request's answer did not wait for its body.
            self.exchanges[-1].awaits_continue = False
        self.left -= len(data)
        self.events.append(DataReceived(self.stream, data))

    def on_message_complete(self) -> None:
        self.size = 0
        if self.phase is BODY:
            # Trailers, if there were any: counted against the limits, and dropped (RFC 9110
            # section 6.5.1).
            self._fields, self._headers, self._target = {}, [], b""
            self.events.append(RequestEnded(self.stream))
            self.end_message()

    def _refuse(self, reason: str, status: int = 400) -> ProtocolError:
        self.fault = refusal(reason, status)
        return self.fault

    def _read_head(self) -> None:
        fields, headers, target = self._fields, self._headers, self._target
        self._fields, self._headers, self._target = {}, [], b""
        version = self._read_version(fields)
        if len(self.exchanges) >= self._limits.unanswered:
            raise refusal("too many requests before the first is answered", 429)
        method = self.parser.get_method().decode("ascii")
        # A slice costs half of what `startswith` does.
        at = len(method) + 1 + len(target)
        if self.line[at : at + 8] != b" HTTP/1.":
            check_line(self.line, method, target)
        self.line = b""
        check_target(method, target, fields, version, headers)
        if len(fields) > 1 or b"host" not in fields:
            upgrade, waits, ended = self._read_framing(fields, version)
        else:
            # Nothing frames a body, and nothing is asked of the connection.
            upgrade, waits, ended = "", False, True
            self._persistent = version == "1.1"
            self.end_message()
        self.stream = stream = self.stream + 1
        head_only, old, closes = method == "HEAD", version == "1.0", not self._persistent
        self.exchanges.append(Exchange(stream, head_only, old, closes, upgrade != "", waits))
        self.events.append(
            RequestReceived(stream, method, target, headers, version, upgrade, waits, ended)
        )

    def _read_version(self, fields: dict[bytes, bytes]) -> str:
        # Of the versions that llhttp knows (0.9, 1.0, 1.1, 2.0), it keeps connections alive without
        # being told to in 1.1 only. Asking for that is much cheaper than asking for the version.
        untold = b"connection" not in fields and b"proxy-connection" not in fields
        if untold and self.parser.should_keep_alive():
            return "1.1"
        version = self.parser.get_http_version()
        if version not in PERSISTENT_BY_DEFAULT:
            raise refusal(f"HTTP/{version} is not spoken here", 505)
        return version

    def _read_framing(self, fields: dict[bytes, bytes], version: str) -> tuple[str, bool, bool]:
        """Where the request ends and what comes then: the next phase.

        :returns: the protocol to upgrade to or "", whether the client waits for a 100, and whether
            there is no body.
        """
        with_body = has_body(fields, version)
        upgrade, self._persistent = connection_options(fields, version)
        upgrades = (with_body or upgrade != "") and self.parser.should_upgrade()
        if with_body or not upgrades:
            upgrade = ""
        waits = version == "1.1" and expects_continue(fields) and with_body
        if with_body:
            length = fields.get(b"content-length")
            self.left = -1 if length is None else int(length.lstrip(b"0"))
        if not with_body:
            self.end_message()
            if upgrade:
                self.phase = HELD
        elif upgrades:
            self.phase = PRIMING
            self._body_framing = (
                b"content-length: " + fields[b"content-length"]
                if b"content-length" in fields
                else b"transfer-encoding: chunked"
            )
        else:
            self.phase = BODY
        return upgrade, waits, not with_body

    def end_message(self) -> None:
        """The next byte starts another request, if the last one allows another."""
        self.phase = IDLE if self._persistent else LAST
