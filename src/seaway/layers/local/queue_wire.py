"""What the embedded broker and its clients say to each other about channels.

What lives here: the messages of `seaway.layers.queues`. What must not: framing (`wire`).

`Send`, `Receive` and whatever changes something is done once, however often it is asked under one
id; see `clients`. An endless wait is the float infinity.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Send(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=40):
    """Answer: `Sent`, or `wire.Refused` as FULL or CLOSED."""

    id: int
    channel: str
    data: bytes
    capacity: int
    wait: float
    delay: float
    ttl: float | None
    order: str
    once: str


class Receive(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=41):
    """Answer: `Handed`, empty when there was nothing in time, or `wire.Refused` as CLOSED."""

    id: int
    channel: str
    limit: int
    wait: float
    lease: float
    tries: int


class Cancel(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=42):
    """Nobody waits for the answer to that `Send` or `Receive` any more, nor ever saw it: what was
    handed out is taken back, and not counted as a delivery. Answer: `wire.Done`."""

    id: int
    request: int


class Ack(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=43):
    """Answer: `Held`."""

    id: int
    channel: str
    receipt: str


class Nack(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=44):
    """``counted`` False: as if it had not been handed out. Answer: `Held`."""

    id: int
    channel: str
    receipt: str
    delay: float
    dead: bool
    reason: str
    counted: bool = True


class Extend(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=45):
    """Answer: `Held`."""

    id: int
    channel: str
    receipt: str
    seconds: float


class Close(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=46):
    """Close a channel, or open it again. Answer: `wire.Done`."""

    id: int
    channel: str
    closed: bool


class Channels(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=47):
    """Answer: `Names`."""

    id: int


class State(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=48):
    """Answer: `Numbers`."""

    id: int
    channel: str


class Purge(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=49):
    """Answer: `Count`."""

    id: int
    channel: str


class DeadLetters(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=50):
    """Answer: `Letters`; fewer than ``limit`` when they are large, but one when there is one."""

    id: int
    channel: str
    limit: int
    skip: int = 0
    ids: Sequence[str] | None = None


class Replay(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=51):
    """Answer: `Count`."""

    id: int
    channel: str
    ids: Sequence[str] | None


class Discard(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=52):
    """Answer: `Count`."""

    id: int
    channel: str
    ids: Sequence[str] | None


class Sent(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=60):
    """``message``: its id."""

    id: int
    message: str


class Parcel(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One message that is handed out."""

    message: str
    data: bytes
    attempt: int
    receipt: str


class Handed(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=61):
    id: int
    parcels: Sequence[Parcel]


class Held(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=62):
    """``held`` False: by then others could have had it, and nothing was done."""

    id: int
    held: bool


class Names(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=63):
    id: int
    names: Sequence[str]


class Numbers(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=64):
    id: int
    waiting: int
    delayed: int
    held: int
    dead: int
    closed: bool


class Count(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=65):
    id: int
    count: int


class Letter(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One dead letter."""

    message: str
    data: bytes
    attempts: int
    reason: str
    died_at: float


class Letters(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=66):
    """``more``: there are fewer than were asked for because they are large."""

    id: int
    letters: Sequence[Letter]
    more: bool = False


QueueQuestion = (
    Send | Receive | Cancel | Ack | Nack | Extend | Close | Channels | State | Purge | DeadLetters
    | Replay | Discard
)  # fmt: skip
QueueAnswer = Sent | Handed | Held | Names | Numbers | Count | Letters
