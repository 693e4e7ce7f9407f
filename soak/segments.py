"""What one subscriber has seen, in unbroken pieces, and the comparison with what was published.

What lives here: `Segment`, `Sightings`, `Ledger`. What must not: connections.

A segment begins with a join whose answer did not resume, and ends where a gap was told. Inside,
every offset must follow the one before it. So an event that a publisher was told is published is
either in a segment that spans its position, or before the first, or between two, where a gap was
told.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

Position = tuple[str, int]


@dataclass(slots=True)
class Segment:
    """``numbers[i]`` is what was seen at offset ``start + 1 + i`` of ``epoch``."""

    epoch: str
    start: int
    numbers: array[int] = field(default_factory=lambda: array("q"))

    @property
    def end(self) -> int:
        return self.start + len(self.numbers)


@dataclass(slots=True)
class Sightings:
    """One subscriber's account."""

    segments: list[Segment] = field(default_factory=list)
    deliveries: int = 0
    duplicated: int = 0
    reordered: int = 0
    holes: int = 0
    gaps: int = 0

    @property
    def position(self) -> Position | None:
        """What it would resume from."""
        if not self.segments:
            return None
        last = self.segments[-1]
        return last.epoch, last.end

    def joined(self, epoch: str, offset: int, recovered: bool) -> None:
        """A join was answered; ``recovered`` says that it goes on where we are."""
        if recovered and self.position == (epoch, offset):
            return
        if recovered:
            # It claims to go on, but from somewhere else: what lies between is lost or repeated.
            self.holes += 1
        elif self.segments:
            self.gaps += 1
        self.segments.append(Segment(epoch, offset))

    def event(self, offset: int, number: int) -> None:
        """An event arrived."""
        self.deliveries += 1
        segment = self.segments[-1]
        expected = segment.end + 1
        if offset == expected:
            segment.numbers.append(number)
        elif offset < expected:
            known = offset > segment.start and segment.numbers[offset - segment.start - 1] == number
            self.duplicated += known
            self.reordered += not known
        else:
            self.holes += offset - expected
            self.segments.append(Segment(segment.epoch, offset - 1, array("q", [number])))


class Ledger:
    """What publishers were told of one topic: epoch → offset → number."""

    def __init__(self) -> None:
        self.told: dict[str, dict[int, int]] = {}
        self.conflicts = 0
        self.latest: Position = ("", 0)

    def add(self, epoch: str, offset: int, number: int) -> None:
        """A publisher was told that its event ``number`` has this position."""
        if epoch != self.latest[0] or offset > self.latest[1]:
            self.latest = (epoch, offset)
        events = self.told.setdefault(epoch, {})
        if events.setdefault(offset, number) != number:
            self.conflicts += 1  # two events with one position: somebody will miss one

    def lacks(self, position: Position | None) -> bool:
        """Whether somebody who stands there has not had the latest event that was told."""
        if position is None or position[0] != self.latest[0]:
            return True
        return position[1] < self.latest[1]

    def missed(self, sightings: Sightings) -> int:
        """Events that this subscriber should have, has not, and was not told about."""
        lost = sightings.holes
        for segment in sightings.segments:
            events = self.told.get(segment.epoch, {})
            for index, number in enumerate(segment.numbers):
                lost += events.get(segment.start + 1 + index, number) != number
        if sightings.segments:
            # Nothing was told after the last segment, so it must reach the latest event.
            final, epoch = sightings.segments[-1], self.latest[0]
            end = final.end if final.epoch == epoch else 0
            lost += sum(offset > end for offset in self.told.get(epoch, {}))
        return lost
