"""What RFC 9113 demands of requests and responses beyond what libnghttp2 checks.

What lives here: plain functions from header fields to events and back.
What must not: state, frames, libnghttp2.

libnghttp2 has refused, as stream errors, unknown, repeated, missing, empty and misplaced
pseudo-header fields, upper case and other illegal characters in names, illegal values, fields that
belong to a connection, ``te`` other than ``trailers``, and bodies that are not as long as their
content-length says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from seaway.exceptions import ProtocolError, ResponseError

from .date import DATE
from .events import Headers, RequestReceived
from .headers import check_response_headers, check_response_text, response_name
from .http1_request import HttpLimits
from .http1_rules import FRAGMENT, expects_continue, refusal

#: uri-host [":" port]; no userinfo (RFC 9113 section 8.3.1).
_AUTHORITY = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+;=]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
#: Fields that belong to a connection of HTTP/1.1 (section 8.2.2); applications may send them.
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_MEANINGFUL = frozenset({b"host", b"cookie", b"expect"})
#: What a malformed request is refused with: no status, only a reset (section 8.1.1).
MALFORMED = 0

Fields = Sequence[tuple[bytes, bytes]]


def malformed(reason: str) -> ProtocolError:
    """The error for a request that is answered with a reset."""
    return refusal(reason, MALFORMED)


@lru_cache(maxsize=256)
def _is_authority(value: bytes) -> bool:
    return _AUTHORITY.fullmatch(value) is not None


@lru_cache(maxsize=64)
def _method(value: bytes) -> str:
    method = value.decode("ascii")
    if method != method.upper():
        # Methods are case-sensitive (RFC 9110 section 9.1), and ASGI's are in upper case.
        raise refusal("the method is not known", 501)
    return method


def read_request(stream: int, fields: Fields, ended: bool, limits: HttpLimits) -> RequestReceived:
    """The event for a request's head.

    :raises ProtocolError: with the status to answer, or `MALFORMED`.
    """
    pseudo: dict[bytes, bytes] = {}
    headers: Headers = []
    special: dict[bytes, bytes] = {}
    size = 0
    for field in fields:
        name, value = field
        size += len(name) + len(value)
        if name[0] == 0x3A:
            pseudo[name] = value
        elif name not in _MEANINGFUL:
            headers.append(field)
        else:
            _add_special(special, headers, name, value)
    if size + 4 * len(fields) > limits.header_bytes or len(headers) > limits.header_count:
        raise refusal("the request's header is too large", 431)
    authority = _authority(pseudo.get(b":authority"), special.get(b"host"))
    headers.insert(0, (b"host", authority))
    if b"cookie" in special:
        headers.append((b"cookie", special[b"cookie"]))
    method = _method(pseudo[b":method"])
    upgrade = _protocol(method, pseudo)
    target = pseudo[b":path"]
    _check_target(method, target, limits)
    waits = b"expect" in special and expects_continue(special) and not ended
    return RequestReceived(stream, method, target, headers, "2", upgrade, waits, ended)


def _add_special(special: dict[bytes, bytes], headers: Headers, name: bytes, value: bytes) -> None:
    known = special.get(name)
    if known is None:
        special[name] = value
    elif name == b"cookie":
        # Section 8.2.3: crumbs are joined before anybody else sees them.
        special[name] = known + b"; " + value
    elif name == b"host":
        raise malformed("more than one Host header")
    else:
        special[name] = known + b", " + value
    if name == b"expect":
        headers.append((name, value))


def _authority(authority: bytes | None, host: bytes | None) -> bytes:
    """Section 8.3.1: Host says the same as :authority, or stands in for it."""
    named = host if authority is None else authority
    if named is None:
        raise malformed("neither :authority nor Host")
    if not _is_authority(named):
        raise malformed("the authority is not a host and port")
    if host is not None and host is not named and host.lower() != named.lower():
        raise malformed("Host differs from :authority")
    return named


def _protocol(method: str, pseudo: dict[bytes, bytes]) -> str:
    """The protocol that an extended CONNECT asks for, or "" (RFC 8441 section 4)."""
    protocol = pseudo.get(b":protocol")
    if protocol is None:
        if method == "CONNECT":
            raise refusal("this server is not a proxy", 501)
        return ""
    if protocol.lower() != b"websocket":
        raise refusal("no protocol but websocket is spoken here", 501)
    return "websocket"


def _check_target(method: str, target: bytes, limits: HttpLimits) -> None:
    if len(target) > limits.target_bytes:
        raise refusal("the request target is too long", 414)
    if FRAGMENT in target:
        raise malformed("the request target has a fragment")
    if target[:1] != b"/" and not (target == b"*" and method == "OPTIONS"):
        raise malformed("the request target is not a path")


def response_fields(status: int, headers: Headers, *, date: bool = True) -> tuple[Headers, int]:
    """The field section of a response, and its Content-Length, or -1 without one.

    :raises ResponseError: the application's fault: a status or field that HTTP cannot carry.
    """
    if not 100 <= status <= 999:
        raise ResponseError(f"the application sent the status {status}: not a three-digit number")
    fields: Headers = [(b":status", b"%d" % status)]
    length: bytes | None = None
    values = []
    for name, raw in headers:
        field, value = response_name(name), raw.strip(b" \t")
        if field in _HOP_BY_HOP:
            continue
        if field == b"content-length":
            if length is not None and length != value:
                raise ResponseError("the application sent two different Content-Lengths")
            if not value.isdigit():
                raise ResponseError(
                    f"the application sent a Content-Length that is no number: {value!r}"
                )
            if length is not None or status == 204:
                continue
            length = value
        elif field == b"date":
            date = False
        fields.append((field, value))
        values.append(value)
    check_response_text(b"".join(values), headers)
    if date:
        fields.append((b"date", DATE.now().value))
    return fields, -1 if length is None else int(length)


def trailer_fields(headers: Headers) -> Headers:
    """The fields after a body: no pseudo-header fields, nothing that frames (section 8.1).

    :raises ResponseError: a field that HTTP cannot carry there.
    """
    check_response_headers(headers)
    fields = [(response_name(name), value.strip(b" \t")) for name, value in headers]
    for name, _ in fields:
        if name in _HOP_BY_HOP or name == b"content-length":
            raise ResponseError(f"the application sent {name.decode()} as a trailer")
    return fields
