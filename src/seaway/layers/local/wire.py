"""What the embedded broker and its clients say to each other.

What lives here: the messages (those of channels: `queue_wire`).
What must not: their bytes (`frames`), sockets, or what a message makes anybody do.

A request's ``id`` comes back in its answer (`Placed` answers several); answers come in the order
of the requests, but for those that had to wait. A client says `Hello` first and waits for
`Welcome`. `Published` and `Changed` come unasked, in order with the answers: an event that follows
the answer to a `Watch` follows its position.

The ids of one client grow, over all its connections. What it asked on a lost connection it asks
again on the next one under the same ids, and the broker does nothing twice (`clients`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import msgspec

from seaway.layers.local.frames import Parser
from seaway.layers.local.queue_wire import QueueAnswer, QueueQuestion

#: Part of the socket's name. Raise it with any change to the messages.
WIRE_VERSION = 3


class Hello(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=0):
    """``lease``: seconds of silence after which the client's members leave; ``client``: names it,
    the same on all its connections, and nobody else can guess it."""

    version: int
    lease: float
    client: str


class Publish(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """``size`` 0: no history. Answer: `Placed`."""

    id: int
    topic: str
    data: bytes
    size: int
    seconds: float
    once: str = ""


class Watch(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=2):
    """Answer: `At`."""

    id: int
    topic: str


class Unwatch(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=3):
    """Answer: `Done`."""

    id: int
    topic: str


class Where(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=4):
    """Answer: `At`."""

    id: int
    topic: str


class Read(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=5):
    """Answer: `Events` or `Missed`."""

    id: int
    topic: str
    epoch: str
    offset: int
    limit: int


class Enter(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=6):
    """``people``: which person a member is, where it is one. Answer: `Done`."""

    id: int
    topic: str
    members: Mapping[str, bytes]
    people: Mapping[str, str]


class Leave(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=7):
    """Answer: `Done`."""

    id: int
    topic: str
    member: str


class Members(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=8):
    """Answer: `Present`."""

    id: int
    topic: str


class Renew(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=9):
    """A sign of life. Answer: `Renewed`."""

    id: int


class Headcount(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=10):
    """Answer: `Heads`."""

    id: int
    topic: str


class Bye(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=11):
    """The client will not come back: what it holds may go to others at once. Answer: `Done`."""

    id: int


class Welcome(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=20):
    """The broker is there; ``pid`` is its process. ``known``: it knows which of the client's
    earlier requests it has done. ``durable``: a `place.Durable`."""

    version: int
    pid: int
    known: bool
    durable: int


class At(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=21):
    id: int
    epoch: str
    offset: int


class Done(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=22):
    id: int


class Events(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=23):
    """``first`` is the offset of the first of ``events``; the stream stands at ``offset``."""

    id: int
    epoch: str
    offset: int
    first: int
    events: Sequence[bytes]


class Missed(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=24):
    id: int
    epoch: str
    offset: int


class Present(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=25):
    id: int
    members: Mapping[str, bytes]


class Renewed(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=26):
    """``kept`` False: the lease had run out, and the client has to enter its members again."""

    id: int
    kept: bool


class Cause(enum.IntEnum):
    """Why a request was refused."""

    FAILED = 0
    FULL = 1  # the channel, for as long as the sender would wait
    CLOSED = 2  # the channel
    FORGOTTEN = 3  # asked again so late that nobody knows whether it was done


class Refused(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=27):
    """The request cannot be answered; ``reason`` is one line."""

    id: int
    reason: str
    cause: Cause


class Heads(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=28):
    id: int
    members: int
    people: int


class Placed(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=29):
    """The answer to ``count`` requests to publish, whose ids count up from ``id``: their events
    stand one behind the other, the first one at ``offset``."""

    id: int
    epoch: str
    offset: int
    count: int


class Published(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=30):
    """Events that stand one behind the other, the first one at ``offset``."""

    topic: str
    epoch: str
    offset: int
    events: Sequence[bytes]


class Changed(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=31):
    topic: str
    entered: Mapping[str, bytes]
    left: Sequence[str]


#: What may be asked once the greeting is over.
Question = (
    Publish | Watch | Unwatch | Where | Read | Enter | Leave | Members | Renew | Headcount | Bye
    | QueueQuestion
)  # fmt: skip
Request = Hello | Question
Answer = At | Done | Events | Missed | Present | Renewed | Refused | Heads | Placed | QueueAnswer
News = Published | Changed
Reply = Welcome | Answer | News


def requests() -> Parser[Request]:
    """What a broker reads."""
    return Parser(_request_decoder)


def replies() -> Parser[Reply]:
    """What a client reads."""
    return Parser(_reply_decoder)


_request_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
