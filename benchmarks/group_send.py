"""group_send: one message to a group whose members' handlers each call `send`, Channels' own API.

What lives here: deliveries per second at 100, 1,000 and 5,000 members, and what one costs.
What must not: who takes part (`groups`), memory and leaks (`group_memory`).

A client's message makes its consumer call `group_send`; the next one follows when every client has
the event. So a figure has the whole way in it, Valkey's part, too, which runs on the server's core.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import contestants as who
from benchmarks import group_memory
from benchmarks.contestants import Contestant
from benchmarks.groups import with_redis
from benchmarks.loads import FanoutRun, Load
from benchmarks.procs import Server, explained
from benchmarks.report import Ratios, middle, paired, say, spread, warn_if_busy
from benchmarks.valkey import Store, valkey

#: The number that the ratios without a number in their names are about.
MEMBERS = 1000
#: Members of the group: who takes part with so many.
SIZES = {
    100: {"seaway", "seaway_redis", "channels_memory", "channels_redis"},
    MEMBERS: {"seaway", "seaway_memory", "seaway_redis", "channels_memory", "channels_redis"}
    | {"channels_pubsub"},
    5000: {"seaway", "seaway_redis", "channels_memory", "channels_redis"},
}
#: Of one turn, unless one event alone takes longer. Turns are short and many: what disturbs the
#: machine then disturbs all of them alike.
TURN_SECONDS = 0.5
#: Turns in a round; one where a single event of somebody takes seconds.
TURNS = {100: 3, MEMBERS: 4, 5000: 1}
#: One of ours, the Channels layer that it stands beside, and the ratio's name.
PAIRS = [
    ("seaway", "channels_memory", "vs_channels_memory"),
    ("seaway_redis", "channels_redis", "vs_channels_redis"),
    ("seaway_redis", "channels_pubsub", "vs_channels_pubsub"),
    ("seaway_memory", "channels_memory", "memory_vs_channels_memory"),
]


@dataclass(frozen=True, slots=True)
class Sample:
    """One contestant in one turn. CPU seconds of the server's processes, and of Valkey."""

    run: FanoutRun
    server: float
    store: float

    @property
    def rate(self) -> float:
        """Deliveries per second, counted at the clients."""
        return self.run.deliveries / self.run.elapsed

    @property
    def cost(self) -> float:
        """Microseconds of CPU per delivery."""
        return (self.server + self.store) / self.run.deliveries * 1e6


@dataclass(frozen=True, slots=True)
class Entry:
    """A contestant that is up, with its members."""

    contestant: Contestant
    server: Server
    load: Load
    store: Store

    def measure(self, events: int) -> Sample:
        with explained(self.server):
            server, store = self.server.cpu().total, self.store.cpu()
            run = self.load.fanout(events, 1, "1")
            return Sample(run, self.server.cpu().total - server, self.store.cpu() - store)

    def calibrate(self) -> int:
        """Warm up; how many events make a turn."""
        seconds = self.measure(1).run.elapsed
        if seconds < TURN_SECONDS / 10:
            seconds = self.measure(10).run.elapsed / 10
        return max(1, round(TURN_SECONDS / seconds))


Samples = dict[str, list[Sample]]


def measure(names: Sequence[str], rounds: int) -> Ratios:
    """Run the benchmark; the ratios between the contestants that took part."""
    ratios: Ratios = {}
    taken: dict[int, Samples] = {}
    with valkey() as store:
        everyone = who.choose(with_redis(store.url), names)
        for members, present in SIZES.items():
            contestants = [one for one in everyone if one.name in present]
            if contestants:
                taken[members] = _size(members, contestants, store, rounds)
                ratios |= _ratios(members, taken[members])
    ratios |= _growth(taken)
    return ratios | group_memory.measure(rounds) if not names else ratios


def _size(members: int, contestants: Sequence[Contestant], store: Store, rounds: int) -> Samples:
    """Every contestant once, then every contestant again: A B C A B C."""
    say(f"group_send: {members:,} members, one event at a time; µs of CPU per delivery")
    samples: Samples = defaultdict(list)
    with contextlib.ExitStack() as stack:
        entries = [_enter(stack, one, members, store) for one in contestants]
        events = {entry.contestant.name: entry.calibrate() for entry in entries}
        for _ in range(rounds * TURNS[members]):
            for entry in entries:
                name = entry.contestant.name
                samples[name].append(entry.measure(events[name]))
    for contestant in contestants:
        _tell(contestant.label, samples[contestant.name])
    return samples


def _enter(
    stack: contextlib.ExitStack, contestant: Contestant, members: int, store: Store
) -> Entry:
    server = stack.enter_context(contestant.serve())
    with explained(server):
        load = stack.enter_context(contestant.load(server, members))
    return Entry(contestant, server, load, store)


def _tell(label: str, taken: Sequence[Sample]) -> None:
    say(
        f"    {label:28} {middle(one.rate for one in taken):8,.0f} deliveries/s; "
        f"{middle(one.cost for one in taken):8.2f} µs ({spread([one.cost for one in taken])}), "
        f"{taken[0].run.deliveries:,} a turn"
    )
    warn_if_busy(label, middle(one.run.cpu / one.run.elapsed for one in taken))


def _ratios(members: int, samples: Samples) -> Ratios:
    suffix = "" if members == MEMBERS else f"_{members}"
    ratios: Ratios = {}
    for ours, theirs, name in PAIRS:
        if ours in samples and theirs in samples:
            a, b = samples[ours], samples[theirs]
            ratios[name + suffix] = paired([one.rate for one in a], [one.rate for one in b])
            ratios[f"{name}_by_cpu{suffix}"] = paired(
                [one.cost for one in b], [one.cost for one in a]
            )
    return ratios


def _growth(taken: dict[int, Samples]) -> Ratios:
    """By how much one delivery is dearer in the largest group than in the smallest: 1 is linear."""
    small, large = taken[min(taken)], taken[max(taken)]
    return {
        f"growth_{name}": middle(one.cost for one in large[name])
        / middle(one.cost for one in small[name])
        for name in small
        if name in large and small is not large
    }
