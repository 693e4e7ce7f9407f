"""Packs: events of one topic that were published together, in one row of the table.

What lives here: putting events into packs, and taking them out again.
What must not: positions, or SQL; the table knows how many events a row has, not how it has them.

That a row is there costs more than what is in it, and so it is with a notification: a pack takes
what one of each can carry. A row of one event is the event's data as it is. One of several has, for
each, its length in four bytes, the most significant first, and then its data.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

#: Two rows of so many bytes fit into a page (of 8 KiB), and one, in Base64, into a notification
#: (of 8,000 bytes), with the position and a topic's name.
PACK_BYTES = 3900

_LENGTH = struct.Struct(">I")
#: What an event takes beside its data.
OVERHEAD = _LENGTH.size


def pack(events: Sequence[bytes]) -> bytes:
    """One or more events as a row has them."""
    if len(events) == 1:
        return events[0]
    length = _LENGTH.pack
    return b"".join([part for data in events for part in (length(len(data)), data)])


def unpack(data: bytes, count: int) -> list[bytes]:
    """The events of a row. :raises ValueError: it has not so many."""
    if count == 1:
        return [data]
    events = []
    at, end = 0, len(data)
    while at < end:
        start = at + OVERHEAD
        at = start + int.from_bytes(data[at:start], "big")
        events.append(data[start:at])
    if at != end or len(events) != count:
        raise ValueError(f"a pack of {len(events)} events that should have {count}")
    return events
