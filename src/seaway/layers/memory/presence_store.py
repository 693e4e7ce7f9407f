"""Who is present on all topics: what the memory layer and the embedded broker run on.

What lives here: `PresenceStore`, pure and synchronous, with an injected clock: members, and the
leases of the processes that entered them.
What must not: streams and their watchers (`store`), timers, or telling anybody; whoever owns a
store announces.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from seaway.layers.base import Headcount, PresenceChange
from seaway.layers.memory.roll import Roll

#: Who owns members: one per process that uses the store.
P = TypeVar("P", bound=Hashable)

_NOBODY: Mapping[str, str] = MappingProxyType({})


class _Process:
    """One process's share: whom it entered, and until when we believe in it."""

    __slots__ = ("deadline", "expired", "lease", "members")

    def __init__(self, lease: float, now: float) -> None:
        self.lease = lease
        self.deadline = now + lease
        self.expired = False
        self.members: set[tuple[str, str]] = set()


class PresenceStore(Generic[P]):
    """The members of all topics. ``clock`` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._processes: dict[P, _Process] = {}
        self._present: dict[str, Roll[P]] = {}

    # Processes -----------------------------------------------------------------------------------

    def attach(self, process: P, lease: float = math.inf) -> None:
        """Make a process known, before it enters anybody."""
        self._processes[process] = _Process(lease, self._clock())

    def renew(self, process: P) -> bool:
        """Extend its lease. False, once, when the lease had run out: its members are gone."""
        state = self._processes[process]
        state.deadline = self._clock() + state.lease
        expired, state.expired = state.expired, False
        return not expired

    def drop(self, process: P) -> dict[str, PresenceChange]:
        """Forget a process: its members leave. Unknown: nothing."""
        state = self._processes.pop(process, None)
        return {} if state is None else self._remove(state)

    def expire(self) -> dict[str, PresenceChange]:
        """Let the members of every process leave whose lease has run out."""
        now = self._clock()
        changes: dict[str, PresenceChange] = {}
        for state in self._processes.values():
            if state.deadline < now and state.members:
                state.expired = True
                for topic, change in self._remove(state).items():
                    before = changes.get(topic)
                    left = [*before.left, *change.left] if before else change.left
                    changes[topic] = PresenceChange(entered={}, left=left)
        return changes

    # Members -------------------------------------------------------------------------------------

    def enter(
        self,
        process: P,
        topic: str,
        members: Mapping[str, bytes],
        people: Mapping[str, str] = _NOBODY,
    ) -> PresenceChange | None:
        """Add members or replace what they say; None when that changes nothing.

        :param people: which person a member is, for those that are one.

        A member that another process had entered is this process's from now on.
        """
        state = self._processes[process]
        roll = self._present.get(topic)
        if roll is None:
            roll = self._present[topic] = Roll()
        entered: dict[str, bytes] = {}
        for member, info in members.items():
            before = roll.enter(member, process, info, people.get(member, ""))
            if before is not None and before.process != process:
                self._processes[before.process].members.discard((topic, member))
            state.members.add((topic, member))
            if before is None or before.info != info:
                entered[member] = info
        return PresenceChange(entered=entered, left=()) if entered else None

    def leave(self, process: P, topic: str, member: str) -> PresenceChange | None:
        """Remove a member of this process; None when it has no such member."""
        state = self._processes[process]
        if (topic, member) not in state.members:
            return None
        state.members.discard((topic, member))
        self._take_out(topic, member)
        return PresenceChange(entered={}, left=(member,))

    def members(self, topic: str) -> dict[str, bytes]:
        """Everybody present with what they say of themselves."""
        roll = self._present.get(topic)
        return {} if roll is None else roll.members()

    def headcount(self, topic: str) -> Headcount:
        """How many are present."""
        roll = self._present.get(topic)
        return Headcount(0, 0) if roll is None else roll.headcount()

    def _take_out(self, topic: str, member: str) -> None:
        roll = self._present[topic]
        roll.leave(member)
        if not roll:
            del self._present[topic]

    def _remove(self, state: _Process) -> dict[str, PresenceChange]:
        left: dict[str, list[str]] = {}
        for topic, member in sorted(state.members):
            self._take_out(topic, member)
            left.setdefault(topic, []).append(member)
        state.members.clear()
        return {topic: PresenceChange(entered={}, left=names) for topic, names in left.items()}
