"""Fuzz the PROXY protocol's parser: bytes never raise anything but `ProtocolError`.

How to run, from the repository's root, with seaway installed::

    python compliance/fuzz_proxy.py --seconds 10 [--seed 1]

Checked for each input: a verdict on a part of it holds for the whole (a refused start stays
refused, a complete header is found again with bytes behind it), and ``size`` is within the input.
A finding is printed as a Python bytes literal, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

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


def mutated(data: bytes, chance: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(out) + 1)
        how = chance.randrange(4)
        if how == 0:
            out[at:at] = bytes((chance.randrange(256),))
        elif how == 1:
            del out[at : at + chance.randint(1, 4)]
        elif how == 2:
            out[at : at + 1] = bytes((chance.randrange(256),))
        else:
            out[at:at] = chance.choice(SEEDS)[: chance.randint(0, 24)]
    return bytes(out)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    chance = random.Random(chosen.seed)  # noqa: S311 - inputs, not secrets
    until, tried = time.monotonic() + chosen.seconds, 0
    while time.monotonic() < until:
        data = mutated(chance.choice(SEEDS), chance)
        tried += 1
        try:
            check(data)
        except Exception as error:  # noqa: BLE001 - any of them is a finding
            sys.stdout.write(f"{error!r} for {data!r}\n")
            return 1
    sys.stdout.write(f"{tried} inputs, nothing found\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
