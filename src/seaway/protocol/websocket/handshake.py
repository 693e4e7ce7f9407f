"""The opening handshake, server side (RFC 6455 section 4.2, RFC 7692 section 7.1, RFC 8441).

What lives here: what a request must say to become a WebSocket, and the headers that accept it.
What must not: origins, users, routes: whether a well-formed request is welcome is not for here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

import msgspec

from seaway.exceptions import ProtocolError, ResponseError
from seaway.protocol.events import Headers, RequestReceived
from seaway.protocol.headers import comma_list, is_token, split_quoted, values_of

from .deflate import MAX_WINDOW_BITS, MIN_WINDOW_BITS, DeflateParameters

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#: To be sent along with 426 (section 4.2.2): the one version that is spoken.
VERSION_HEADER = (b"sec-websocket-version", b"13")
_WINDOW_BITS = {str(bits).encode(): bits for bits in range(8, MAX_WINDOW_BITS + 1)}


class DeflateOffer(msgspec.Struct, frozen=True):
    """One acceptable offer of permessage-deflate; None: the client leaves our window to us."""

    server_max_window_bits: int | None = None


class Handshake(msgspec.Struct, frozen=True):
    """What a valid opening request asks for.

    :param key: Sec-WebSocket-Key, or empty over HTTP/2, which has no such proof (RFC 8441).
    :param subprotocols: as offered, in the client's order of preference.
    :param deflate: the offers of permessage-deflate that we could accept, in that order.
    """

    key: bytes
    subprotocols: tuple[str, ...]
    deflate: tuple[DeflateOffer, ...]


def read_request(event: RequestReceived) -> Handshake:
    """Check an opening request (RFC 6455 section 4.2.1; over HTTP/2: RFC 8441 section 4).

    :raises ProtocolError: status 400, or 426 for another version (answer with VERSION_HEADER).
    """
    over_http1 = event.version.startswith("1")
    if event.upgrade != "websocket":
        raise ProtocolError("a WebSocket request without Upgrade: websocket")
    if over_http1 and event.method != "GET":
        raise ProtocolError("a WebSocket request that is not a GET")
    if over_http1 and not event.ended:
        raise ProtocolError("a WebSocket request with a body")
    versions = comma_list(values_of(event.headers, VERSION_HEADER[0]))
    if versions != [VERSION_HEADER[1]]:
        raise ProtocolError("Sec-WebSocket-Version is not 13", status=426)
    return Handshake(
        _read_key(event.headers) if over_http1 else b"",
        _read_subprotocols(event.headers),
        _read_deflate_offers(event.headers),
    )


def accept(
    handshake: Handshake, *, subprotocol: str | None, deflate: bool
) -> tuple[Headers, DeflateParameters | None]:
    """The headers that accept a handshake, and the compression agreed to.

    :param subprotocol: one of those offered, or None.
    :param deflate: whether to accept compression, if it was offered.
    :raises ResponseError: the application chose a subprotocol that the client did not offer.
    """
    headers: Headers = []
    if handshake.key:
        digest = hashlib.sha1(handshake.key + _GUID, usedforsecurity=False).digest()
        headers = [
            (b"upgrade", b"websocket"),
            (b"connection", b"Upgrade"),
            (b"sec-websocket-accept", base64.b64encode(digest)),
        ]
    if subprotocol is not None:
        if subprotocol not in handshake.subprotocols:
            raise ResponseError(
                f"the application accepted the subprotocol {subprotocol!r}, "
                f"but the client offered {', '.join(handshake.subprotocols) or 'none'}"
            )
        headers.append((b"sec-websocket-protocol", subprotocol.encode("ascii")))
    if not deflate or not handshake.deflate:
        return headers, None
    offer = handshake.deflate[0]
    headers.append((b"sec-websocket-extensions", _deflate_answer(offer)))
    return headers, DeflateParameters(offer.server_max_window_bits or MAX_WINDOW_BITS)


def _read_key(headers: Headers) -> bytes:
    keys = values_of(headers, b"sec-websocket-key")
    if len(keys) != 1:
        raise ProtocolError("not exactly one Sec-WebSocket-Key")
    try:
        nonce = base64.b64decode(keys[0], validate=True)
    except binascii.Error as error:
        raise ProtocolError("Sec-WebSocket-Key is not base64") from error
    if len(nonce) != 16:
        raise ProtocolError("Sec-WebSocket-Key does not encode 16 bytes")
    return keys[0]


def _read_subprotocols(headers: Headers) -> tuple[str, ...]:
    offered = comma_list(values_of(headers, b"sec-websocket-protocol"))
    for name in offered:
        if not is_token(name):
            raise ProtocolError("Sec-WebSocket-Protocol has a name that is no token")
    if len(set(offered)) != len(offered):
        raise ProtocolError("Sec-WebSocket-Protocol names a subprotocol twice")
    return tuple(name.decode("ascii") for name in offered)


def _read_deflate_offers(headers: Headers) -> tuple[DeflateOffer, ...]:
    offers = []
    for extension in comma_list(values_of(headers, b"sec-websocket-extensions")):
        name, parameters = _parse_extension(extension)
        if name == b"permessage-deflate":
            offer = _deflate_offer(parameters)
            if offer is not None:
                offers.append(offer)
    return tuple(offers)


def _parse_extension(extension: bytes) -> tuple[bytes, list[tuple[bytes, bytes | None]]]:
    """One extension and its parameters (RFC 6455 section 9.1)."""
    name, *rest = split_quoted(extension, b";")
    if not is_token(name):
        raise ProtocolError("Sec-WebSocket-Extensions has a name that is no token")
    parameters: list[tuple[bytes, bytes | None]] = []
    for parameter in rest:
        key, equals, value = (part.strip(b" \t") for part in parameter.partition(b"="))
        if value[:1] == value[-1:] == b'"' and len(value) > 1:
            value = value[1:-1]
        if not is_token(key) or (equals and not is_token(value)):
            raise ProtocolError("Sec-WebSocket-Extensions has a malformed parameter")
        parameters.append((key, value if equals else None))
    return name, parameters


def _deflate_offer(parameters: list[tuple[bytes, bytes | None]]) -> DeflateOffer | None:
    """An offer to accept, or None where RFC 7692 section 7.1 has it declined: unknown or repeated
    parameters, and values out of bounds. Also declined: a window of 8 bits, which zlib lacks."""
    given = dict(parameters)
    if len(given) != len(parameters):
        return None
    server_bits: int | None = None
    for key, value in parameters:
        if key in {b"server_no_context_takeover", b"client_no_context_takeover"}:
            valid = value is None
        elif key == b"client_max_window_bits":
            valid = value is None or value in _WINDOW_BITS
        elif key == b"server_max_window_bits":
            server_bits = _WINDOW_BITS.get(value or b"")
            valid = server_bits is not None and server_bits >= MIN_WINDOW_BITS
        else:
            valid = False
        if not valid:
            return None
    return DeflateOffer(server_bits)


def _deflate_answer(offer: DeflateOffer) -> bytes:
    """Never any context takeover: no compressor per connection, and frames can be shared.

    RFC 7692 section 7.1.1.2 lets a server ask it of the client unasked.
    """
    answer = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    if offer.server_max_window_bits is not None:
        answer += b"; server_max_window_bits=%d" % offer.server_max_window_bits
    return answer
