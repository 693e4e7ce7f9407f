"""What a layer does inside its own process: mailboxes, counting, and saying what was lost.

What lives here: `LocalChannels`, the base of our layers, and `Tally`.
What must not: an engine, or another process.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from seaway.exceptions import ChannelFull
from seaway.layers.background import running_loop
from seaway.layers.channels.base import BaseChannelLayer, Capacities
from seaway.layers.channels.inbox import Inbox
from seaway.layers.channels.inboxes import Inboxes
from seaway.layers.channels.messages import Message, decode_in_turn

logger = logging.getLogger("seaway.channels")

#: Seconds over which losses of one kind are joined to one line of the log.
LOG_SECONDS = 1.0

#: Seconds that what is past its time may stay while nobody receives at all.
CLEAN_SLACK = 1.0

#: What `Tally.lost` knows, and how the log says it.
_LOSSES = {
    "dropped_full": "%d messages to members of groups dropped: %s",
    "expired": "%d messages went past their time unread: %s",
    "missed": "%d messages to groups missed while the engine was away: %s",
    "gaps": "%d times the engine lost its history, and messages with it, if any came: %s",
    "undelivered": "%d messages from other processes not delivered: %s",
    "acks_lost": "%d messages may be received again, their receipt did not reach the engine: %s",
}


class Tally:
    """What a layer did, in numbers since its process started. May be used from any thread."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._said: dict[str, float] = {}
        self._unsaid: Counter[str] = Counter()

    def count(self, what: str, number: int = 1) -> None:
        # Not under the lock: a count may be off by one when two threads meet, and nothing else.
        self.counts[what] += number

    def lost(self, what: str, where: str, number: int = 1) -> None:
        """Count what did not arrive, and log it: the first at once, then one line a second."""
        with self._lock:
            self.counts[what] += number
            self._unsaid[what] += number
            wait = self._said.get(what, 0.0) + LOG_SECONDS - time.monotonic()
            first = wait <= 0 or self._unsaid[what] == number
        loop = running_loop()
        if wait <= 0 or loop is None:
            self.say(what, where)
        elif first:
            loop.call_later(wait, self.say, what, where)

    def say(self, what: str, where: str) -> None:
        """Log what was lost since the last line about it."""
        with self._lock:
            number = self._unsaid.pop(what, 0)
            self._said[what] = time.monotonic()
        if number:
            logger.warning(_LOSSES[what], number, where)


class LocalChannels(BaseChannelLayer):
    """A layer with mailboxes in this process.

    :param group_expiry: seconds that a membership lasts after the last `group_add`.
    """

    extensions = ["groups", "flush", "statistics"]

    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Capacities | None = None,
    ) -> None:
        super().__init__(expiry=expiry, capacity=capacity, channel_capacity=channel_capacity)
        self.group_expiry = group_expiry
        self._start_afresh()

    def _start_afresh(self) -> None:
        """With no channel and all counts at zero."""
        self._tally = Tally()
        self._inboxes = Inboxes(self.expiry, self.get_capacity, self._went_unread)

    @property
    def channels(self) -> Mapping[str, Inbox[bytes]]:
        """The channels of this process where somebody or something waits, by name."""
        return self._inboxes.in_use()

    def subscribe(self, channel: str, put: Callable[[Message], None]) -> None:
        """Give each message that comes to a channel of this process to ``put``, as it comes.

        :param put: called on the loop that is running now; must not block. What waits already goes
            to it at once. It decides what happens when there is too much: a subscribed channel has
            no capacity.
        """
        self.subscribe_encoded(channel, _decoding(put))

    def subscribe_encoded(self, channel: str, put: Callable[[bytes], None]) -> None:
        """The same, for who decodes messages when it comes to them, with `decode_in_turn`."""
        self.require_valid_channel_name(channel)
        asyncio.get_running_loop()  # else nothing could ever be delivered
        self._inboxes.subscribe(channel, put)

    def unsubscribe(self, channel: str) -> None:
        """End that, and the channel's memberships. Not subscribed: nothing."""
        inbox = self._inboxes.unsubscribe(channel)
        if inbox is not None and inbox.groups:
            self._leave_all(inbox)

    def _put_local(self, channel: str, data: bytes) -> None:
        """Into a mailbox of this process, or ChannelFull."""
        self._inboxes.clean_expired(slack=CLEAN_SLACK)
        if not self._inboxes.offer(self._inboxes.open(channel), data):
            raise self._full(channel)
        self._tally.count("sent")

    def _full(self, channel: str) -> ChannelFull:
        capacity = self.get_capacity(channel)
        return self.ChannelFull(f"The channel {channel} holds {capacity} messages already.")

    def _went_unread(self, inbox: Inbox[bytes], number: int) -> None:
        self._tally.lost("expired", inbox.name, number)
        # Nobody has read it for twice the time of a message, so its owner is gone: as a member it
        # would fill up again and again. One that is only late keeps what is still in time.
        if inbox.groups and inbox.neglected(self.expiry):
            self._leave_all(inbox)

    def _leave_all(self, inbox: Inbox[bytes]) -> None:
        raise NotImplementedError

    def _counts(self) -> dict[str, Any]:
        in_use = self._inboxes.in_use().values()
        return {
            "sent": 0, "received": 0, "group_sent": 0, "delivered": 0, "dropped_full": 0,
            "expired": 0, "missed": 0, "gaps": 0, "undelivered": 0, "acks_lost": 0,
            **self._tally.counts,
            "channels": len(in_use),
            "waiting": sum(len(inbox) for inbox in in_use),
        }  # fmt: skip


def _decoding(put: Callable[[Message], None]) -> Callable[[bytes], None]:
    def put_decoded(data: bytes) -> None:
        put(decode_in_turn(data))

    return put_decoded


def random_name() -> str:
    """A part of a name that nobody can guess: 96 bits in 16 letters and digits, - and _."""
    return secrets.token_urlsafe(12)
