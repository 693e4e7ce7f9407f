"""One message of a channel, and who is told of what becomes of it.

What lives here: `Message`, the places where one can be, and `Journal` for a store that outlives its
process. What must not: the rules by which it moves (`channel_state`, `queue_store`).
"""

from __future__ import annotations

import enum
import math
from typing import Protocol


class Place(enum.Enum):
    """Where a message is."""

    READY = enum.auto()
    DELAYED = enum.auto()
    LINED_UP = enum.auto()  # behind another one of its order
    HELD = enum.auto()
    GONE = enum.auto()


class Message:
    """One message. Times are by the store's clock.

    :ivar number: the age: smaller is older. :ivar due: not handed out before.
    :ivar expires: dropped then if it was never handed out. :ivar attempts: how often it was.
    :ivar receipt: names the last handing-out, ``tries`` and ``until`` are what it said, ``holder``
        who got it. :ivar reason: why it died, ``died_at`` seconds since 1970.
    """

    __slots__ = (
        "attempts", "data", "died_at", "due", "expires", "holder", "id", "number", "order",
        "place", "reason", "receipt", "tries", "until",
    )  # fmt: skip

    def __init__(
        self, id_: str, number: int, data: bytes, *, order: str = "", due: float = -math.inf,
        expires: float = math.inf,
    ) -> None:  # fmt: skip
        self.id = id_
        self.number = number
        self.data = data
        self.order = order
        self.due = due
        self.expires = expires
        self.attempts = 0
        self.place = Place.GONE
        self.receipt = ""
        self.tries = 0
        self.until = math.inf
        self.holder = ""
        self.reason = ""
        self.died_at = 0.0


class Journal(Protocol):
    """Who is told of each change, to write it down. Called after the change, in order."""

    def message_changed(self, channel: str, message: Message) -> None:
        """It came, was handed out, came back, or died."""

    def message_gone(self, channel: str, message: Message) -> None:
        """It is done, dropped, purged or discarded."""

    def channel_closed(self, channel: str, closed: bool) -> None:
        """It was closed, or opened again."""

    def once_seen(self, channel: str, once: str, id_: str, until: float) -> None:
        """A message was sent with this ``once``, to be remembered until then."""


class NoJournal:
    """Writes nothing down."""

    def message_changed(self, channel: str, message: Message) -> None: ...
    def message_gone(self, channel: str, message: Message) -> None: ...
    def channel_closed(self, channel: str, closed: bool) -> None: ...
    def once_seen(self, channel: str, once: str, id_: str, until: float) -> None: ...
