"""Where a request begins and ends in the peer's bytes, and what its first line looks like.

What lives here: `piece_end`, which cuts what is fed to llhttp so that no piece holds the end of one
request and the start of another, the look at what llhttp takes that RFC 9112 does not: two spaces
for one in a request line, bare LFs and CRs before it, ``RTSP/1.0`` and ``ICE/1.0``; and the
statuses for what llhttp refuses.
What must not: the grammar of requests (`http1_request`), events.

None of what llhttp takes too much moves the border between two requests; but another recipient may
see it otherwise, which is all that a smuggler needs.
"""

from __future__ import annotations

import re

from .http1_rules import refusal

#: How a head ends, and a chunked body too.
HEAD_END = b"\r\n\r\n"
#: How many bytes of it may be at the end of what came before.
OVERLAP = len(HEAD_END) - 1
CR = b"\r"

#: What llhttp says of bytes that are well formed but not for us; all else it refuses is a 400.
_STATUS_OF_REASON = {
    "Invalid HTTP version": 505,
    "Pause on PRI/Upgrade": 505,  # the preface of HTTP/2, which a server tells by its first bytes
    "Expected HTTP/2 Connection Preface": 505,
}
_UNKNOWN_METHOD = "Invalid method encountered"

#: All methods that llhttp knows begin with a capital letter.
FIRST_LETTER = ord("A")
_TOKEN_START = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]")
_EMPTY_LINES = re.compile(rb"(?:\r\n)+")
#: The first byte of a TLS record that holds a handshake (RFC 8446 section 5.1).
_TLS_HANDSHAKE = b"\x16"


def piece_end(data: bytes, before: bytes, left: int) -> int:
    """How many bytes of ``data`` may be fed at once.

    :param before: the last `OVERLAP` bytes that were fed of the same request.
    :param left: bytes that a body of counted length still has to have; negative if it has none.
    """
    if left >= 0:
        return min(left, len(data))
    end = (before + data[:OVERLAP]).find(HEAD_END)
    if end >= 0:
        return end + len(HEAD_END) - len(before)
    end = data.find(HEAD_END)
    return end + len(HEAD_END) if end >= 0 else len(data)


def empty_lines(data: bytes) -> int:
    """The length of the empty lines before a request, which are ignored (RFC 9112 section 2.2); a
    CR at the end of ``data`` may be half of one and is left.

    Raises `ProtocolError` (400) if something else is there that no request begins with.
    """
    lines = _EMPTY_LINES.match(data)
    size = lines.end() if lines is not None else 0
    if data[size : size + 1] in {b"\r", b"\n"} and data[size:] != CR:
        raise refusal("a line before the request does not end in CR LF")
    return size


def check_line(line: bytes, method: str, target: bytes) -> None:
    """Raises `ProtocolError` (400) unless ``line`` is a request line whose parts llhttp has found,
    with single spaces between them, and of HTTP (RFC 9112 section 3)."""
    start = b"%b %b " % (method.encode(), target)
    if not line.startswith(start):
        raise refusal("the parts of the request line are not separated by single spaces")
    if not line.startswith(b"HTTP/1.", len(start)):
        raise refusal("the protocol in the request line is not HTTP")


def status_of_unknown_method(data: bytes) -> tuple[int, str]:
    """What to say of a request that begins with no method that llhttp knows."""
    if data.startswith(_TLS_HANDSHAKE):
        return 400, "TLS is spoken to a port that is not for TLS"
    # No more than the first byte: the rest may not have come yet.
    if _TOKEN_START.match(data) is None:
        return 400, "this is no HTTP request"
    return 501, "the method is not known"


def status_of_refusal(reason: str, line: bytes) -> tuple[int, str]:
    """What to say of a request that llhttp has refused for ``reason``; ``line`` is its first."""
    if reason == _UNKNOWN_METHOD:
        return status_of_unknown_method(line)
    return _STATUS_OF_REASON.get(reason, 400), reason
