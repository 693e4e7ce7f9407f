"""The PROXY protocol, versions 1 and 2: who is behind a proxy that forwards bytes.

What lives here: from the first bytes of a connection to a `ProxyHeader`, after HAProxy's
"The PROXY protocol" (2020/03/05).
What must not: sockets, time-outs, and who may be believed (`server.acceptor`).

The header comes before anything else, TLS included. It is parsed whole or not at all, so the caller
may look at bytes without taking them, and then take exactly ``size`` of them.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator

import msgspec

from seaway.exceptions import ProtocolError

Address = tuple[str, int]

#: Section 2.1: the longest line of version 1, CRLF included.
V1_LIMIT = 107
#: Bytes of a whole header that we read: addresses take 52, and the rest are TLVs that we skip.
#: Section 2.2 allows 65,551; nothing known sends more than some hundred.
V2_LIMIT = 4096
#: Bytes that a caller must be able to look at.
MOST = V2_LIMIT

_V1 = b"PROXY "
_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_HEAD = struct.Struct("!12sBBH")
_TLV = struct.Struct("!BH")
#: Section 2.2: transport and family to the length of one address.
_FAMILIES = {0x11: 4, 0x21: 16}
_V1_FAMILIES: dict[bytes, type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]] = {
    b"TCP4": ipaddress.IPv4Address,
    b"TCP6": ipaddress.IPv6Address,
}
_LOCAL, _PROXY = 0, 1
_TYPE_SSL, _CLIENT_SSL = 0x20, 0x01


class ProxyHeader(msgspec.Struct, frozen=True):
    """What a proxy says of the connection that it forwards.

    :ivar size: bytes that the header takes.
    :ivar source: the client; None when the proxy speaks for itself (a health check) or does not
        know: the socket's own addresses hold then.
    :ivar destination: where the client has connected to.
    :ivar secure: whether the client has spoken TLS to the proxy.
    """

    size: int
    source: Address | None = None
    destination: Address | None = None
    secure: bool = False


def parse(data: bytes) -> ProxyHeader | None:
    """The header at the start of ``data``, or None while it is incomplete.

    Raises `ProtocolError` for bytes that cannot become a header.
    """
    if data[:1] == _V2[:1]:
        return _parse_v2(data)
    if _V1.startswith(data[: len(_V1)]):
        return _parse_v1(data)
    raise ProtocolError("no PROXY header")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, V1_LIMIT)
    if end < 0:
        if len(data) >= V1_LIMIT:
            raise ProtocolError("a PROXY line of more than 107 bytes")
        return None
    size = end + 2
    fields = data[:end].split(b" ")
    if len(fields) > 1 and fields[1] == b"UNKNOWN":
        # Section 2.1: whatever follows is to be ignored.
        return ProxyHeader(size)
    if len(fields) != 6 or fields[1] not in _V1_FAMILIES:
        raise ProtocolError("a PROXY line that is not of version 1")
    family = _V1_FAMILIES[fields[1]]
    source = (_text_address(family, fields[2]), _text_port(fields[4]))
    destination = (_text_address(family, fields[3]), _text_port(fields[5]))
    return ProxyHeader(size, source, destination)


def _text_address(
    family: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address], text: bytes
) -> str:
    try:
        address = family(text.decode("ascii"))
    except ValueError:
        raise ProtocolError("a PROXY line with a wrong address") from None
    if getattr(address, "scope_id", None):
        raise ProtocolError("a PROXY line with a wrong address")
    return str(address)


def _text_port(text: bytes) -> int:
    # Section 2.1: no leading zeros, so that every port has one form.
    if not text.isdigit() or len(text) > 5 or int(text) > 65535 or (text[0] == 0x30 and text[1:]):
        raise ProtocolError("a PROXY line with a wrong port")
    return int(text)


def _parse_v2(data: bytes) -> ProxyHeader | None:
    if not _V2.startswith(data[: len(_V2)]):
        raise ProtocolError("no PROXY header")
    if len(data) > len(_V2):
        command = data[len(_V2)] & 0x0F
        if data[len(_V2)] >> 4 != 2 or command > _PROXY:
            raise ProtocolError("a PROXY header of an unknown version or command")
    if len(data) < _HEAD.size:
        return None
    _, _, family, length = _HEAD.unpack_from(data)
    size = _HEAD.size + length
    if size > V2_LIMIT:
        raise ProtocolError(f"a PROXY header of more than {V2_LIMIT} bytes")
    if len(data) < size:
        return None
    if command == _LOCAL:
        return ProxyHeader(size)
    return _addresses(family, data[_HEAD.size : size], size)


def _addresses(family: int, body: bytes, size: int) -> ProxyHeader:
    width = _FAMILIES.get(family)
    if width is None:
        # Section 2.2: UNSPEC, datagrams and Unix sockets: as if the proxy had said nothing.
        return ProxyHeader(size)
    taken = 2 * width + 4
    if len(body) < taken:
        raise ProtocolError("a PROXY header that is too short for its addresses")
    source, destination = body[:width], body[width : 2 * width]
    ports = struct.unpack_from("!HH", body, 2 * width)
    return ProxyHeader(
        size,
        (str(ipaddress.ip_address(source)), ports[0]),
        (str(ipaddress.ip_address(destination)), ports[1]),
        _spoke_tls(body[taken:]),
    )


def _spoke_tls(tlvs: bytes) -> bool:
    """Section 2.2.5, PP2_TYPE_SSL: its first byte says whether the client has connected by TLS."""
    return any(kind == _TYPE_SSL and value[:1] and value[0] & _CLIENT_SSL
               for kind, value in list(_values(tlvs)))  # fmt: skip


def _values(tlvs: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(tlvs):
        if len(tlvs) - at < _TLV.size:
            raise ProtocolError("a PROXY header whose last TLV is cut off")
        kind, length = _TLV.unpack_from(tlvs, at)
        at += _TLV.size
        if len(tlvs) - at < length:
            raise ProtocolError("a PROXY header whose last TLV is cut off")
        yield kind, tlvs[at : at + length]
        at += length
