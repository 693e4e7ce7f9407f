"""Letters between the mailboxes of processes: their shape, and how they travel.

What lives here: a letter as bytes, the hub's encoding of the topics on which they travel, and the
cutting of what is too long for one publication.
What must not: sending, waiting, answering; that is `mailbox`'s.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator

import msgspec

from seaway.layers.base import Publication
from seaway.layers.stream import EventsAlone
from seaway.topics.routes import RESERVED

#: Bytes of a letter that are not its body, generously.
ENVELOPE = 96


class Kind(enum.IntEnum):
    """What a letter is."""

    QUESTION = 0
    ANSWER = 1
    #: "Are you working on these?" Its body: the numbers of the questions.
    PROBE = 2
    #: "Not on these." Its body: those of them that are unknown.
    UNKNOWN = 3


class Letter(msgspec.Struct, frozen=True, array_like=True):
    """One publication on a mailbox's topic; a long body comes in several, all but the last with
    ``more``."""

    kind: Kind
    sender: str
    number: int
    more: bool
    body: bytes


encode_letter = msgspec.msgpack.Encoder().encode
decode_letter = msgspec.msgpack.Decoder(Letter).decode
encode_numbers = msgspec.msgpack.Encoder().encode
decode_numbers = msgspec.msgpack.Decoder(list[int]).decode

_SIZE_BYTES = 4
#: Stands for "letters were missed": no letter is empty.
_GAP = bytes(_SIZE_BYTES)


class _LetterEncoding(EventsAlone):
    """The hub's encoding for mailboxes: each publication with its size before it."""

    def event(self, topic: str, publication: Publication) -> bytes:
        return len(publication.data).to_bytes(_SIZE_BYTES) + publication.data

    def gap(self, topic: str) -> bytes:
        return _GAP


ENCODING = _LetterEncoding()


def letters_of(frame: bytes) -> Iterator[Letter | None]:
    """The letters of one write of the hub; None where letters were missed."""
    start = 0
    while start < len(frame):
        size = int.from_bytes(frame[start : start + _SIZE_BYTES])
        start += _SIZE_BYTES
        yield decode_letter(frame[start : start + size]) if size else None
        start += size


def topic_of(address: str) -> str:
    """The topic that the mailbox at ``address`` follows."""
    return f"{RESERVED}p/{address}"


def cut(body: bytes, size: int) -> Iterator[tuple[bytes, bool]]:
    """The parts of a body, each with whether more follows; one part if it is empty."""
    starts: Iterable[int] = range(0, len(body), size) if body else (0,)
    for start in starts:
        yield body[start : start + size], start + size < len(body)
