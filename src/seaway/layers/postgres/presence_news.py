"""Members that come and go, told to the receiver.

What lives here: `PresenceNews`: who changed is heard, what they are now is asked.
What must not: entering and leaving (`presence`).
"""

from __future__ import annotations

import logging
from collections.abc import Container

from seaway.layers.base import PresenceChange, Receiver
from seaway.layers.postgres import statements
from seaway.layers.postgres.line import Line
from seaway.layers.postgres.link import Answer, Refused
from seaway.layers.postgres.values import text

logger = logging.getLogger("seaway.layers")


class PresenceNews:
    """One question at a time, for all that changed since the one before.

    :param watched: the topics of which the receiver is told.
    """

    def __init__(self, line: Line, receiver: Receiver, watched: Container[str]) -> None:
        self._line = line
        self._receiver = receiver
        self._watched = watched
        self._changed: dict[str, dict[str, None]] = {}
        self._asking = False

    def heard(self, topic: str, members: list[str]) -> None:
        """These members came, went or say something else of themselves."""
        if topic in self._watched:
            self._changed.setdefault(topic, {}).update(dict.fromkeys(members))
            self._ask()

    def forget(self, topic: str) -> None:
        """Not watched any more."""
        self._changed.pop(topic, None)

    def broken(self) -> None:
        """The answer under way will not come."""
        self._asking = False

    def _ask(self) -> None:
        if self._asking or not self._changed:
            return
        self._asking = True
        asked, self._changed = self._changed, {}
        pairs = [(topic, member) for topic, members in asked.items() for member in members]
        self._line.tell(
            statements.PRESENT,
            [topic for topic, _ in pairs],
            [member for _, member in pairs],
            done=lambda answer: self._read(answer, asked),
            repeat=None,
        )

    def _read(self, answer: Answer | None, asked: dict[str, dict[str, None]]) -> None:
        if answer is None:
            return
        self._asking = False
        if isinstance(answer, Refused):
            logger.error("PostgreSQL refuses to give members: %s", answer)
            return
        entered: dict[str, dict[str, bytes]] = {}
        for row in range(answer.ntuples):
            topic, member = text(answer.get_value(row, 0)), text(answer.get_value(row, 1))
            entered.setdefault(topic, {})[member] = answer.get_value(row, 2) or b""
        for topic, members in asked.items():
            if topic in self._watched:
                there = entered.get(topic, {})
                gone = [member for member in members if member not in there]
                self._tell(topic, PresenceChange(entered=there, left=gone))
        self._ask()

    def _tell(self, topic: str, change: PresenceChange) -> None:
        try:
            self._receiver.presence_changed(topic, change)
        except Exception:
            logger.exception("the receiver failed on a change of presence in %s", topic)
