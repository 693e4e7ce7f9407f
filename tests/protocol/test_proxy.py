"""The PROXY protocol's header, byte by byte."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.exceptions import ProtocolError
from seaway.protocol.proxy import V1_LIMIT, V2_LIMIT, ProxyHeader, parse

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(body: bytes, *, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def v4(source: str, destination: str, ports: tuple[int, int], tlvs: bytes = b"") -> bytes:
    packed = ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(destination).packed
    return packed + struct.pack("!HH", *ports) + tlvs


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def test_version_1() -> None:
    line = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
    assert parse(line + b"GET / HTTP/1.1\r\n") == ProxyHeader(
        len(line), ("192.0.2.1", 56324), ("198.51.100.7", 443)
    )
    line = b"PROXY TCP6 2001:db8::1 ::1 1 0\r\n"
    assert parse(line) == ProxyHeader(len(line), ("2001:db8::1", 1), ("::1", 0))


@pytest.mark.parametrize("line", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 x 65535 1\r\n"])
def test_version_1_of_an_unknown_client(line: bytes) -> None:
    assert parse(line + b"x") == ProxyHeader(len(line))


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"PROXY\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 ::1 1.2.3.4 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 ::1 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 \xb2 2\r\n",
        b"PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n",
        b"PROXY " + b"x" * V1_LIMIT,
        SIGNATURE[:-1] + b"X",
        v2(b"", command=0x11),
        v2(b"", command=0x22),
        v2(b"short"),
        v2(v4("1.2.3.4", "1.2.3.4", (1, 2)), family=0x21),
        v2(v4("1.2.3.4", "1.2.3.4", (1, 2), b"\x20")),
        v2(v4("1.2.3.4", "1.2.3.4", (1, 2), b"\x20\0\x05abcd")),
        SIGNATURE + b"\x21\x11" + (V2_LIMIT).to_bytes(2, "big"),
    ],
)
def test_what_is_no_header(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse(line)


def test_version_2() -> None:
    body = v4("192.0.2.1", "198.51.100.7", (56324, 443))
    assert parse(v2(body) + b"GET") == ProxyHeader(28, ("192.0.2.1", 56324), ("198.51.100.7", 443))
    six = ipaddress.IPv6Address("2001:db8::1").packed + ipaddress.IPv6Address("::1").packed
    assert parse(v2(six + b"\0\1\0\2", family=0x21)) == ProxyHeader(
        52, ("2001:db8::1", 1), ("::1", 2)
    )


@pytest.mark.parametrize(
    "data", [v2(b"", command=0x20), v2(b"x" * 9, command=0x20), v2(b"", family=0), v2(b"u" * 216,
    family=0x31)],
)  # fmt: skip
def test_version_2_of_the_proxy_itself_or_of_no_ip_address(data: bytes) -> None:
    assert parse(data) == ProxyHeader(len(data))


def test_version_2_says_whether_the_client_spoke_tls() -> None:
    def secure(flags: int) -> bool:
        tlvs = tlv(0x04, b"nothing") + tlv(0x20, bytes((flags, 0, 0, 0, 0)))
        header = parse(v2(v4("1.2.3.4", "1.2.3.4", (1, 2), tlvs)))
        assert header is not None
        return header.secure

    assert secure(1)
    assert not secure(2)


IPV4 = st.ip_addresses(v=4).map(str)
IPV6 = st.ip_addresses(v=6).map(str)
PORT = st.integers(0, 65535)


@given(st.one_of(st.tuples(st.just("TCP4"), IPV4, IPV4), st.tuples(st.just("TCP6"), IPV6, IPV6)),
       PORT, PORT, st.binary(max_size=20))  # fmt: skip
def test_a_line_that_is_split_anywhere(
    said: tuple[str, str, str], port: int, other: int, rest: bytes
) -> None:
    line = f"PROXY {' '.join(said)} {port} {other}\r\n".encode()
    assert all(parse(line[:end]) is None for end in range(len(line)))
    assert parse(line + rest) == ProxyHeader(len(line), (said[1], port), (said[2], other))


@given(IPV4, IPV4, PORT, PORT, st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)),
       max_size=4), st.binary(max_size=20))  # fmt: skip
def test_a_binary_header_that_is_split_anywhere(
    source: str, to: str, port: int, other: int, tlvs: list[tuple[int, bytes]], rest: bytes
) -> None:
    data = v2(v4(source, to, (port, other), b"".join(tlv(*each) for each in tlvs)))
    assert all(parse(data[:end]) is None for end in range(len(data)))
    header = parse(data + rest)
    assert header is not None
    assert (header.size, header.source, header.destination) == (
        len(data), (source, port), (to, other)
    )  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(SIGNATURE.__add__),
       st.binary(max_size=120).map(b"PROXY TCP4 ".__add__)))  # fmt: skip
def test_any_bytes_are_a_header_incomplete_or_refused(data: bytes) -> None:
    try:
        header = parse(data)
    except ProtocolError:
        return
    assert header is None or header.size <= len(data)
