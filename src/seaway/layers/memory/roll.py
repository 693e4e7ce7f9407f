"""Who is present on one topic, and how many: the members of a topic, counted as they come and go.

What lives here: `Roll`. What must not: leases or announcements (`presence_store`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from seaway.layers.base import Headcount

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Member(Generic[P]):
    """One member: who entered it, what it says of itself, and which person it is, or nobody's."""

    process: P
    info: bytes
    person: str


class Roll(Generic[P]):
    """The members of one topic. Empty ones are false."""

    __slots__ = ("_members", "_nobodys", "_people")

    def __init__(self) -> None:
        self._members: dict[str, Member[P]] = {}
        self._people: dict[str, int] = {}
        self._nobodys = 0

    def enter(self, member: str, process: P, info: bytes, person: str) -> Member[P] | None:
        """Add or replace; returns what it was before."""
        before = self._members.get(member)
        if before is not None:
            self._uncount(before.person)
        self._members[member] = Member(process, info, person)
        if person:
            self._people[person] = self._people.get(person, 0) + 1
        else:
            self._nobodys += 1
        return before

    def leave(self, member: str) -> None:
        """Remove one that is there."""
        self._uncount(self._members.pop(member).person)

    def members(self) -> dict[str, bytes]:
        return {name: member.info for name, member in self._members.items()}

    def headcount(self) -> Headcount:
        return Headcount(len(self._members), len(self._people) + self._nobodys)

    def __bool__(self) -> bool:
        return bool(self._members)

    def _uncount(self, person: str) -> None:
        if not person:
            self._nobodys -= 1
        elif self._people[person] == 1:
            del self._people[person]
        else:
            self._people[person] -= 1
