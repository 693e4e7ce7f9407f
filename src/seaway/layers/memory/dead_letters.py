"""The dead letters of one channel: messages that nobody will receive, the oldest first.

What lives here: `DeadLetters`. What must not: why a message died (`channel_state`), or what becomes
of one that is taken out (`queue_store`).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import islice

from seaway.layers.memory.queue_message import Journal, Message
from seaway.layers.queues import DeadLetter

logger = logging.getLogger("seaway.layers")

#: Dead letters that one channel keeps; the oldest give way.
DEAD_LETTERS = 10_000


class DeadLetters:
    """One channel's. Empty ones are false."""

    __slots__ = ("_channel", "_journal", "_messages")

    def __init__(self, channel: str, journal: Journal) -> None:
        self._channel = channel
        self._journal = journal
        self._messages: OrderedDict[str, Message] = OrderedDict()

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: Message) -> None:
        self._messages[message.id] = message

    def limit(self) -> None:
        """Let the oldest give way to `DEAD_LETTERS`."""
        while len(self._messages) > DEAD_LETTERS:
            _, message = self._messages.popitem(last=False)
            self._journal.message_gone(self._channel, message)
            logger.error("the oldest dead letter of %s gave way: %s", self._channel, message.id)

    def show(self, limit: int, skip: int, ids: Sequence[str] | None) -> list[DeadLetter]:
        """The oldest after ``skip`` of them; of these ``ids`` alone (None: all)."""
        found: Iterable[Message] = self._messages.values()
        if ids is not None:
            wanted = set(ids)
            found = (message for message in found if message.id in wanted)
        return [
            DeadLetter(message.id, message.data, message.attempts, message.reason, message.died_at)
            for message in islice(found, skip, skip + limit)
        ]

    def take(self, ids: Sequence[str] | None) -> list[Message]:
        """Take these out (None: all), as far as they are here. The journal is not told."""
        messages = self._messages
        names = messages if ids is None else dict.fromkeys(id_ for id_ in ids if id_ in messages)
        return [messages.pop(id_) for id_ in list(names)]
