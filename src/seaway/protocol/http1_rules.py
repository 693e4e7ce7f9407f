"""What RFC 9110 and RFC 9112 demand of a request's head beyond llhttp's grammar.

What lives here: plain functions on the fields that decide framing, persistence and routing, each
raising the `ProtocolError` whose status the peer is to be answered with.
What must not: state, parsing of bytes (`http1_request`).

``fields`` holds those fields by name, repeated ones joined by commas (RFC 9110 section 5.3).
"""

from __future__ import annotations

import re
from functools import lru_cache

from seaway.exceptions import ProtocolError

from .events import Headers
from .headers import token_list

#: uri-host [":" port] (RFC 9110 section 7.2, RFC 3986 section 3.2.2), without percent-encoding.
_HOST = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+;=]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_ABSOLUTE_FORM = re.compile(rb"(?i:https?)://([^/?#]*)")
#: What a fragment begins with. A number: `in` is many times slower with bytes.
FRAGMENT = ord("#")
PERSISTENT_BY_DEFAULT = {"1.0": False, "1.1": True}


#: Clients name the same hosts again and again; of longer ones than DNS has, none is remembered.
_CACHED_LENGTH = 255


def refusal(reason: str, status: int = 400) -> ProtocolError:
    """The error for a request that is answered with ``status``."""
    return ProtocolError(reason, status=status)


def is_host(value: bytes) -> bool:
    """Whether ``value`` is a host with or without a port (RFC 9110 section 7.2)."""
    return _cached_is_host(value) if len(value) <= _CACHED_LENGTH else _is_host(value)


def _is_host(value: bytes) -> bool:
    return _HOST.fullmatch(value) is not None


_cached_is_host = lru_cache(maxsize=1024)(_is_host)


def check_target(
    method: str, target: bytes, fields: dict[bytes, bytes], version: str, headers: Headers
) -> None:
    """RFC 9112 sections 3.2 (Host and the forms of a target) and 3.2.2 (absolute-form)."""
    host = fields.get(b"host")
    if host is None:
        if version == "1.1":
            raise refusal("no Host header")
    elif not is_host(host):
        raise refusal("the Host header is not a host and port")
    if FRAGMENT in target:
        raise refusal("the request target has a fragment")
    if method == "CONNECT":
        raise refusal("this server is not a proxy", 501)
    if target.startswith(b"/"):
        return
    if target == b"*":
        if method != "OPTIONS":
            raise refusal("the request target * belongs to OPTIONS")
        return
    absolute = _ABSOLUTE_FORM.match(target)
    if absolute is None or not is_host(absolute[1]):
        raise refusal("the request target is neither a path nor an http URI")
    # The target's authority replaces whatever Host said.
    headers[:] = [(name, absolute[1] if name == b"host" else value) for name, value in headers]


def has_body(fields: dict[bytes, bytes], version: str) -> bool:
    """RFC 9112 sections 6.1 and 6.3. llhttp has refused Content-Lengths that are no single number,
    and any beside Transfer-Encoding."""
    codings = fields.get(b"transfer-encoding")
    if codings is None:
        # Not int(): it refuses thousands of leading zeros with an error of its own.
        return fields.get(b"content-length", b"").strip(b"0") != b""
    if version == "1.0":
        raise refusal("Transfer-Encoding in an HTTP/1.0 request")
    if codings.lower() == b"chunked":
        return True
    names = token_list((codings,))
    if names[-1:] != [b"chunked"] or names.count(b"chunked") > 1:
        raise refusal("chunked is not the last and only framing in Transfer-Encoding")
    raise refusal("no transfer coding but chunked is understood here", 501)


def connection_options(fields: dict[bytes, bytes], version: str) -> tuple[str, bool]:
    """The protocol to upgrade to or "", and whether the connection persists.

    RFC 9110 section 7.8 (Upgrade is void in HTTP/1.0 and without the connection option), RFC 9112
    section 9.3 (persistence).
    """
    persistent = PERSISTENT_BY_DEFAULT[version]
    if b"connection" not in fields:
        return "", persistent
    options = token_list((fields[b"connection"],))
    persistent = b"close" not in options and (persistent or b"keep-alive" in options)
    if b"upgrade" not in options or b"upgrade" not in fields or version == "1.0":
        return "", persistent
    protocols = token_list((fields[b"upgrade"],))
    if b"websocket" in protocols:
        return "websocket", persistent
    return (protocols[0].decode("latin-1") if protocols else ""), persistent


def expects_continue(fields: dict[bytes, bytes]) -> bool:
    """RFC 9110 section 10.1.1."""
    expectation = fields.get(b"expect")
    if expectation is None:
        return False
    if expectation.lower() != b"100-continue":
        raise refusal("the only expectation met here is 100-continue", 417)
    return True
