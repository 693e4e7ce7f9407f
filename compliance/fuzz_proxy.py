"""Fuzz the PROXY protocol's parser: bytes never raise anything but `ProtocolError`.

How to run, from the repository's root, with seaway installed::

    python -m compliance.fuzz_proxy --seconds 60 [--seed 1]

Checked for each input: a verdict on a part of it holds for the whole (a refused start stays
refused, a complete header is found again with bytes behind it), and ``size`` is within the input.
A finding is printed as a Python bytes literal, and the exit status is 1.
"""

from __future__ import annotations

import random
import sys

from compliance.fuzzing import run
from seaway.exceptions import ProtocolError
from seaway.protocol.proxy import ProxyHeader, parse

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
SEEDS = [
    b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET / HTTP/1.1\r\n\r\n",
    b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n",
    b"PROXY UNKNOWN\r\n",
    SIGNATURE + b"\x21\x11\0\x0c" + bytes(range(12)) + b"GET",
    SIGNATURE + b"\x21\x21\0\x24" + bytes(range(36)),
    SIGNATURE + b"\x21\x11\0\x14" + bytes(range(12)) + b"\x20\0\x05\x01\0\0\0\0",
    SIGNATURE + b"\x20\0\0\0",
]


def verdict(data: bytes) -> ProxyHeader | ProtocolError | None:
    try:
        return parse(data)
    except ProtocolError as error:
        return error


def check(data: bytes) -> None:
    """Raises AssertionError, or whatever the parser should not raise."""
    whole = verdict(data)
    if isinstance(whole, ProxyHeader):
        assert 0 < whole.size <= len(data), "size"  # noqa: S101
        assert verdict(data + b"\0\r\n") == whole, "more behind it"  # noqa: S101
    for end in range(len(data)):
        part = verdict(data[:end])
        if isinstance(part, ProtocolError):
            assert isinstance(whole, ProtocolError), f"refused at {end}"  # noqa: S101
        elif part is not None:
            assert part == whole, f"another header at {end}"  # noqa: S101


def mutate(source: random.Random) -> bytes:
    """A header with a few things broken."""
    data = bytearray(source.choice(SEEDS))
    for _ in range(source.randrange(5)):
        at = source.randrange(len(data) + 1)
        match source.randrange(4):
            case 0:
                data[at:at] = bytes((source.randrange(256),))
            case 1:
                del data[at : at + source.randrange(1, 5)]
            case 2:
                data[at : at + 1] = bytes((source.randrange(256),))
            case _:
                data[at:at] = source.choice(SEEDS)[: source.randrange(24)]
    return bytes(data)


if __name__ == "__main__":
    sys.exit(run("the PROXY protocol's parser", check, mutate))
