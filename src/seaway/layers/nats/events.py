"""An event, or several that were published together, as a message of the topics' stream.

What lives here: events to a message and back. What must not: storing or telling it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from seaway.layers.base import History, Position, Publication
from seaway.layers.nats import headers

#: How a message of ours begins; what another program has published may have another order.
_OURS = re.compile(
    rb"NATS/1\.0\r\nSeaway-Event: ([!-~]+) ([0-9]+) ([!-~]+)\r\n"
    rb"(?:Seaway-History: ([0-9]+) ([0-9.e+]+)\r\n)?(?:Nats-Rollup: sub\r\n)?"
    rb"(?:Seaway-Sizes: ([0-9,]+)\r\n)?"
)


class Events(msgspec.Struct, frozen=True, gc=False):
    """One message.

    :param offset: of its first event. :param id: of this message among all.
    :param size: of the history that its publisher wants kept, :param seconds: for so long.
    """

    epoch: str
    offset: int
    id: str
    size: int
    seconds: float
    sizes: Sequence[int] | None

    @property
    def last(self) -> int:
        return self.offset + (len(self.sizes) - 1 if self.sizes else 0)

    def publications(self, data: bytes) -> list[Publication]:
        """What was published, in order."""
        if self.sizes is None:
            return [Publication(Position(self.epoch, self.offset), data)]
        found = []
        at = 0
        for offset, size in enumerate(self.sizes, self.offset):
            found.append(Publication(Position(self.epoch, offset), data[at : at + size]))
            at += size
        return found


def header_values(
    position: Position, id_: str, history: History | None, sizes: Sequence[int]
) -> dict[bytes, bytes]:
    """The headers of a message whose first event gets ``position``. The event's come first, so that
    reading finds them there."""
    values = {headers.EVENT: f"{position.epoch} {position.offset} {id_}".encode()}
    if history is not None and history.size:
        values[headers.HISTORY] = f"{history.size} {history.seconds:g}".encode()
    else:
        # It cannot be read again: nothing before it has to be kept.
        values[headers.ROLLUP] = b"sub"
    if len(sizes) > 1:
        values[headers.SIZES] = ",".join(map(str, sizes)).encode()
    return values


def parse(header: bytes, length: int) -> Events | None:
    """The message that has these headers and so many bytes; None: it is none of ours, or
    corrupt."""
    try:
        match = _OURS.match(header)
        if match is not None:
            epoch, offset, id_, size, seconds, joined = match.groups()
        else:
            epoch, offset, id_ = (headers.value(header, headers.EVENT) or b"").split(b" ")
            kept = headers.value(header, headers.HISTORY)
            size, seconds = kept.split(b" ") if kept is not None else (None, None)
            joined = headers.value(header, headers.SIZES)
        sizes = None
        if joined is not None:
            sizes = [int(part) for part in joined.split(b",")]
            if sum(sizes) != length or min(sizes) < 0:
                return None
        first = int(offset)
        if first < 1 or not epoch:
            return None
        return Events(
            epoch.decode(), first, id_.decode(), int(size or 0), float(seconds or 0), sizes
        )
    except (ValueError, UnicodeDecodeError):
        return None
