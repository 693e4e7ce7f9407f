"""What a consumer's connection costs while it is idle, and what is left when it has gone.

What lives here: resident bytes per idle consumer in a group; the growth over ten rounds of a
thousand consumers each that connect, echo and close.
What must not: deliveries (`group_send`); how memory is read (`memory`, `procs`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

from benchmarks.contestants import Contestant
from benchmarks.groups import CHANNELS_DAPHNE, CHANNELS_UVICORN, SEAWAY
from benchmarks.memory import Sample, settled, take, tell
from benchmarks.procs import BenchmarkError, explained
from benchmarks.report import Ratios, middle, say

#: Ours first. The names of the figures say whose they are.
CONTESTANTS = {
    "": SEAWAY,
    "_channels_uvicorn": CHANNELS_UVICORN,
    "_channels_daphne": CHANNELS_DAPHNE,
}
LEAK_ROUNDS = 10
LEAK_CONNECTIONS = 1000
ECHO_BYTES = 120


def measure(rounds: int) -> Ratios:
    """Bytes per idle consumer, and by how many bytes each round of comings and goings grew."""
    say("memory: resident bytes of the server for each idle consumer in a group")
    samples: dict[str, list[Sample]] = defaultdict(list)
    for _ in range(rounds):
        for suffix, contestant in CONTESTANTS.items():
            samples[suffix].append(take(contestant))
    figures: Ratios = {}
    for suffix, contestant in CONTESTANTS.items():
        tell(contestant.label, samples[suffix])
        held = middle(one.memory.total for one in samples[suffix])
        figures[f"bytes_per_consumer{suffix}"] = held
        if suffix:
            figures[f"memory_vs{suffix}"] = held / figures["bytes_per_consumer"]
    say(f"leaks: {LEAK_ROUNDS} times {LEAK_CONNECTIONS:,} consumers connect, echo and close")
    for suffix in ("", "_channels_uvicorn"):
        figures[f"leak_bytes_per_round{suffix}"] = _leak(CONTESTANTS[suffix])
    return figures


def _leak(contestant: Contestant) -> float:
    """The trend of the server's memory, in bytes per round, after one round to warm up."""
    with contestant.serve() as server, explained(server):
        held = []
        for _ in range(1 + LEAK_ROUNDS):
            with contestant.load(server, LEAK_CONNECTIONS) as load:
                load.echo(0, ECHO_BYTES)  # one message there and back on each
                closed = load.close().closed
            if closed != LEAK_CONNECTIONS:
                raise BenchmarkError(f"{closed} of {LEAK_CONNECTIONS} connections were closed.")
            held.append(settled(server).total)
    found = trend(held[1:])
    say(
        f"    {contestant.label:30} {held[1]:12,.0f} bytes after the first, {held[-1]:,.0f} after "
        f"the last; {found:,.0f} a round"
    )
    return found


def trend(values: Sequence[float]) -> float:
    """The median slope between any two of them (Theil and Sen): a step that the allocator takes
    once is no trend, a little in every round is one."""
    pairs = combinations(enumerate(values), 2)
    return middle((b - a) / (j - i) for (i, a), (j, b) in pairs)
