"""Publishing on a connection of somebody else's, inside the transaction that is open there.

What lives here: one statement. What must not: connections, or knowing what the others do on theirs.

The event waits in the table ``pending`` and gets its position when the transaction commits; if it
is rolled back, to a savepoint or altogether, the event never was. No topic is locked before the
commit, however long the transaction takes.
"""

from __future__ import annotations

from typing import Any, Protocol

from seaway.layers.base import History, check_name


class Cursor(Protocol):
    """A cursor of the Python database API (PEP 249) with ``%s`` as its place holder."""

    def execute(self, sql: str, params: Any = ..., /) -> Any:
        """Run one statement."""


def publish_within(
    cursor: Cursor, namespace: str, topic: str, data: bytes, history: History | None
) -> None:
    """Publish one event when the cursor's transaction commits.

    The tables have to be there: start a layer on the same database before.
    """
    check_name(topic)
    size, seconds = (history.size, history.seconds) if history is not None else (0, 1.0)
    # A namespace has no character that would have to be escaped.
    statement = f'SELECT "{namespace}".publish_at_commit(%s, %s, %s, %s)'
    cursor.execute(statement, (topic, data, size, seconds))
