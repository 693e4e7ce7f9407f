"""What a consumer's messages go out by.

What lives here: the interface. What must not: either of the two there are.
"""

from __future__ import annotations

from typing import Protocol

from seaway.consumers.layer import Message


class Carrier(Protocol):
    """What a consumer's messages go out by."""

    async def send(self, message: Message) -> None:
        """Send an ASGI message. Waits for a client that is slow, ignores one that has gone."""

    def post(self, message: Message) -> bool:
        """The same from another thread, without waiting; False: it cannot be done so."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection, whatever waits before. Idempotent."""

    def eased(self) -> None:
        """Reading, which was paused, may go on."""

    def end(self, error: Exception | None) -> None:
        """The consumer has ended; ``error`` is what it has ended with."""
