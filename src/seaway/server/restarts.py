"""When workers are started in place of those that have died.

What lives here: the delays, which grow with the crashes in a row.
What must not: processes (`crew`), the question whether one is replaced at all (`supervisor`).
"""

from __future__ import annotations

#: Seconds before a crashed worker is replaced: doubled with each crash in a row, up to the most.
_FIRST_DELAY, _MOST_DELAY = 0.1, 30.0
#: Seconds of life after which a crash counts as the first one again.
_LONG_LIFE = 30.0


class Restarts:
    """Times of the monotonic clock."""

    __slots__ = ("_crashes", "due")

    def __init__(self) -> None:
        self._crashes = 0
        #: One time for each worker that is to be started.
        self.due: list[float] = []

    def after(self, lived: float, now: float) -> float:
        """A worker has crashed after so many seconds of life; how many pass until its restart."""
        self._crashes = 0 if lived >= _LONG_LIFE else self._crashes + 1
        delay = min(_MOST_DELAY, _FIRST_DELAY * 2.0 ** min(self._crashes, 16))
        self.due.append(now + delay)
        return delay

    def take(self, now: float) -> int:
        """How many are due; they are restarts to come no longer."""
        later = [due for due in self.due if due > now]
        count = len(self.due) - len(later)
        self.due = later
        return count

    def clear(self) -> None:
        """Nobody is to be replaced."""
        self.due.clear()
