"""What is stored of a channel's message: the message itself, and then what happens to it.

What lives here: `Record`, the value of the header ``Seaway-State``, as bytes and back.
What must not: what a record means for a channel (`ledger`).

All records of one message have one subject. The first (``new``) carries the message as its body;
the others have none and each is stored on the condition that the one it follows is still the last.
The last one (``done``) removes all others. Seconds count from the server's time of storing.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Literal

import msgspec

State = Literal["new", "held", "ready", "dead", "done", "closed", "open"]

#: Ids of messages that were sent with ``once`` begin with this.
ONCE = "once-"


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step in the life of a message, or of a channel (``closed``, ``open``).

    :param seconds: ``new`` and ``ready``: before it can be received; ``held``: of the lease.
    :param ttl: ``new``: seconds after which it is dropped if it was not handed out; -1: never.
    :param attempts: deliveries so far, this one included. :param tries: how many there may be.
    :param receipt: names a handing-out; ``done``, ``ready`` and ``dead`` repeat it.
    :param process: who holds it, if it gives signs of life.
    :param rank: its place in line, a sequence; 0: where it was sent; -1: where this record is.
    """

    state: State
    seconds: float = 0.0
    ttl: float = -1.0
    order: str = ""
    attempts: int = 0
    tries: int = 0
    receipt: str = ""
    process: str = ""
    reason: str = ""
    rank: int = 0


_decoder = msgspec.json.Decoder(Record)


#: Seconds that count as for ever: JSON has no infinity.
FOREVER = 1e9


def encode(record: Record) -> bytes:
    if max(record.seconds, record.ttl) > FOREVER:
        seconds, ttl = min(record.seconds, FOREVER), min(record.ttl, FOREVER)
        record = msgspec.structs.replace(record, seconds=seconds, ttl=ttl)
    return msgspec.json.encode(record)


def decode(value: bytes | None) -> Record | None:
    """None: it is none, or corrupt."""
    try:
        return _decoder.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def new_id(once: str = "") -> str:
    """An id that nobody has used, or that everybody uses for this ``once``."""
    if once:
        return ONCE + hashlib.sha256(once.encode()).hexdigest()[:32]
    return secrets.token_hex(10)
