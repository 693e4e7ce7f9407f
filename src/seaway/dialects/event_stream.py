"""One topic as an event stream for readers without a client: a browser's EventSource, curl.

What lives here: how a snapshot and events are said in ``text/event-stream``, and the ids by which a
reader resumes.
What must not: HTTP; the stream's transport.

An id holds the position, and a seal over it and the topic's name: positions of different topics may
look alike, and a reader that comes with another topic's id must not be believed.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence

from django.conf import settings

from seaway.dialects.base import Call, Join, Leave, Request
from seaway.exceptions import BadMessage, TopicError
from seaway.layers.base import Headcount, Position, Publication
from seaway.layers.stream import EventsAlone
from seaway.protocol import sse
from seaway.topics.decoding import event_parts

#: The name of the event that carries what the topic's ``join`` returned.
SNAPSHOT = b"snapshot"
_PURPOSE = b"seaway.event_stream\0"
_SEAL_BYTES = 9


def event_id(topic: str, position: Position) -> str:
    """``EPOCH:OFFSET:SEAL``."""
    return f"{position.epoch}:{position.offset}:{_seal(topic, position)}"


def position_of(topic: str, text: str) -> Position | None:
    """The position in an id of this topic; None for anything else."""
    head, _, seal = text.rpartition(":")
    epoch, _, offset = head.rpartition(":")
    if not (offset.isascii() and offset.isdigit() and len(offset) <= 16):
        return None
    position = Position(epoch, int(offset))
    genuine = hmac.compare_digest(seal.encode(), _seal(topic, position).encode())
    return position if genuine else None


def _seal(topic: str, position: Position) -> str:
    text = f"{topic} {position.epoch} {position.offset}".encode()
    key = _PURPOSE + settings.SECRET_KEY.encode()
    return urlsafe_b64encode(hmac.digest(key, text, "sha256")[:_SEAL_BYTES]).decode()


class EventStreamDialect(EventsAlone):
    """Use the one instance, `EVENT_STREAM`. Its messages are framed already; readers send none."""

    def decode(self, message: str | bytes) -> Request:
        raise BadMessage("A reader of an event stream sends no messages.")

    def welcome(self, connection: str, ping_seconds: float) -> bytes | None:
        return None

    def joined(
        self,
        request: Join,
        position: Position,
        recovered: bool,
        data: bytes,
        present: Sequence[bytes] | Headcount | None,
    ) -> bytes:
        """The snapshot; after a resume nothing but a comment, for the events themselves follow."""
        if recovered:
            return sse.COMMENT
        return sse.event(data, name=SNAPSHOT, id=event_id(request.topic, position).encode())

    def left(self, request: Leave) -> bytes:
        return b""

    def reply(self, request: Call, data: bytes) -> bytes:
        return b""

    def error(self, request: Join | Leave | Call, error: TopicError) -> bytes:
        return b""

    def heartbeat(self) -> bytes:
        return sse.COMMENT

    def event(self, topic: str, publication: Publication) -> bytes:
        said = event_parts(publication.data)
        position = event_id(topic, publication.position)
        return sse.event(bytes(said.data), name=said.event.encode(), id=position.encode())

    def gap(self, topic: str) -> bytes:
        """Not for the reader: a new snapshot follows."""
        return sse.COMMENT


EVENT_STREAM = EventStreamDialect()
