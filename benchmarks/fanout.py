"""Fan-out: what one delivery of a 120-byte event to one of 1,000 subscribers costs the server.

What lives here: two regimes, each contestant measured once per round, round after round.
What must not: how servers are started (`contestants`) or measured (`procs`).

*single*: one event at a time; the next is published when every subscriber has the last one.
*burst*: 20 events are published in one go; the next 20 when every subscriber has them.
A client's message makes the server publish, so a figure has everything in it: receiving that
message, publishing, the layer, encoding, writing.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import contestants as who
from benchmarks.contestants import Contestant
from benchmarks.loads import FanoutRun, Load
from benchmarks.procs import Server, Usage, explained
from benchmarks.report import Ratios, middle, paired, say, spread, warn_if_busy

CONTESTANTS = [
    who.SEAWAY,
    who.C_SEND,
    who.WEBSOCKETS,
    who.CHANNELS_UVICORN,
    who.CHANNELS_DAPHNE,
]
#: The others take seven seconds for one burst.
IN_BURSTS = {one.name for one in (who.SEAWAY, who.C_SEND, who.WEBSOCKETS)}
SUBSCRIBERS = 1000
REGIMES = {"single": 1, "burst": 20}
#: Deliveries of one round; a server that would need longer than `ROUND_SECONDS` makes fewer.
DELIVERIES = 300_000
ROUND_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One contestant in one round."""

    run: FanoutRun
    cpu: Usage

    @property
    def cost(self) -> float:
        """Microseconds of CPU per delivery, all processes of the server."""
        return self.cpu.total / self.run.deliveries * 1e6

    @property
    def worker_cost(self) -> float:
        return self.cpu.workers / self.run.deliveries * 1e6


@dataclass(frozen=True, slots=True)
class Entry:
    """A contestant that is up, with its subscribers."""

    contestant: Contestant
    server: Server
    load: Load

    def measure(self, events: int, triggers: int) -> Sample:
        with explained(self.server):
            before = self.server.cpu()
            run = self.load.fanout(triggers, events, self.contestant.trigger % events)
            return Sample(run, self.server.cpu().since(before))

    def calibrate(self, events: int) -> int:
        """Warm up; how many triggers make a round."""
        self.measure(events, 1)
        run = self.measure(events, 2).run
        rate = run.deliveries / run.elapsed
        deliveries = min(DELIVERIES, rate * ROUND_SECONDS)
        return max(1, round(deliveries / events / SUBSCRIBERS))


Samples = dict[str, list[Sample]]


def measure(names: Sequence[str], rounds: int) -> Ratios:
    """Run the benchmark; the ratios between the contestants that took part."""
    say(f"fanout: {SUBSCRIBERS} subscribers; microseconds of server CPU per delivery")
    ratios: Ratios = {}
    with contextlib.ExitStack() as stack:
        entries = [_enter(stack, one) for one in who.choose(CONTESTANTS, names)]
        for regime, events in REGIMES.items():
            if regime == "burst":
                entries = [entry for entry in entries if entry.contestant.name in IN_BURSTS]
            samples = _rounds(entries, events, rounds)
            _tell(regime, entries, samples)
            prefix = "fanout" if regime == "single" else "fanout_burst"
            ratios |= _ratios(prefix, samples)
    return ratios


def _enter(stack: contextlib.ExitStack, contestant: Contestant) -> Entry:
    server = stack.enter_context(contestant.serve())
    with explained(server):
        load = stack.enter_context(contestant.load(server, SUBSCRIBERS))
    return Entry(contestant, server, load)


def _rounds(entries: Sequence[Entry], events: int, rounds: int) -> Samples:
    """Every contestant once, then every contestant again: A B C A B C."""
    triggers = {entry.contestant.name: entry.calibrate(events) for entry in entries}
    samples: Samples = defaultdict(list)
    for _ in range(rounds):
        for entry in entries:
            name = entry.contestant.name
            samples[name].append(entry.measure(events, triggers[name]))
    return samples


def _tell(regime: str, entries: Sequence[Entry], samples: Samples) -> None:
    say(f"  {regime}, {REGIMES[regime]} event(s) at a time:")
    for entry in entries:
        taken = samples[entry.contestant.name]
        costs = [one.cost for one in taken]
        rate = middle(one.run.deliveries / one.run.elapsed for one in taken)
        size = middle(one.run.event_bytes for one in taken)
        say(
            f"    {entry.contestant.label:30} {middle(costs):8.2f} µs ({spread(costs)}; worker "
            f"{middle(one.worker_cost for one in taken):.2f}), {rate:9,.0f} deliveries/s, "
            f"{taken[0].run.deliveries:,} a round, {size:.1f} bytes"
        )
        warn_if_busy(entry.contestant.label, middle(one.run.cpu / one.run.elapsed for one in taken))


def _ratios(prefix: str, samples: Samples) -> Ratios:
    if "seaway" not in samples:
        return {}
    ours = [one.cost for one in samples["seaway"]]
    workers = [one.worker_cost for one in samples["seaway"]]
    ratios = {}
    for name, taken in samples.items():
        if name != "seaway":
            ratios[f"{prefix}_vs_{name}"] = paired([one.cost for one in taken], ours)
    if "c_send" in samples:
        theirs = [one.cost for one in samples["c_send"]]
        ratios[f"{prefix}_worker_vs_c_send"] = paired(theirs, workers)
    return ratios
