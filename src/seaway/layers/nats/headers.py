"""Header blocks of NATS messages: making them, and reading what we need from them.

What lives here: bytes to values and back. What must not: what the values are for.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Mapping

VERSION = b"NATS/1.0"

EVENT, HISTORY, SIZES = b"Seaway-Event", b"Seaway-History", b"Seaway-Sizes"
MEMBER, STATE = b"Seaway-Member", b"Seaway-State"
EXPECTED = b"Nats-Expected-Last-Subject-Sequence"
EXPECTED_OF = b"Nats-Expected-Last-Subject-Sequence-Subject"
ROLLUP, TTL = b"Nats-Rollup", b"Nats-TTL"
SEQUENCE, SUBJECT, TIME = b"Nats-Sequence", b"Nats-Subject", b"Nats-Time-Stamp"
SIZE = b"Nats-Msg-Size"

_STATUS = re.compile(rb"NATS/1\.0 +(\d{3})(?: +([^\r]*))?\r\n")


def block(values: Mapping[bytes, bytes]) -> bytes:
    """The header block of a message."""
    lines = [name + b": " + value for name, value in values.items()]
    return b"\r\n".join((VERSION, *lines, b"", b""))


def value(header: bytes, name: bytes) -> bytes | None:
    """One value; of several of one name, the last: the server adds its own behind a sender's."""
    at = header.rfind(b"\r\n" + name + b":")
    if at < 0:
        return None
    start = at + len(name) + 3
    return header[start : header.index(b"\r\n", start)].strip()


def number(header: bytes, name: bytes) -> int:
    """One value that is a number; 0 where there is none."""
    found = value(header, name)
    return int(found) if found is not None and found.isdigit() else 0


def status(header: bytes) -> tuple[int, str]:
    """The status of a message from the server itself; 0 for an ordinary message."""
    found = _STATUS.match(header)
    if found is None:
        return 0, ""
    return int(found[1]), (found[2] or b"").decode("utf-8", "replace")


def seconds(stamp: bytes | str | None) -> float:
    """An RFC 3339 time in UTC with nanoseconds, as the server writes them, in seconds since 1970.

    :raises ValueError: it is none.
    """
    text = stamp.decode() if isinstance(stamp, bytes) else stamp or ""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    since = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return since + (float(f"0.{fraction}") if fraction else 0.0)
