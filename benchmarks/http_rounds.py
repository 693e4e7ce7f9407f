"""Rounds of HTTP requests, shared by the benchmarks `django` and `http`.

What lives here: one contestant's round, all rounds, what is printed of them.
What must not: which servers and applications there are.

The figure is responses per second of server CPU: what one saturated core serves. On an idle machine
it is the same as responses per second; on a shared one it is what remains meaningful.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.loads import HttpLoad, HttpRun
from benchmarks.procs import BenchmarkError, Server, Usage, explained
from benchmarks.report import middle, paired, say, warn_if_busy

CONNECTIONS = 32
ROUND_SECONDS = 3.0
WARM_UP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Site:
    """One server with one application, and the path that is asked for.

    :param streams: requests under way on each connection of HTTP/2; 0: HTTP/1.1.
    """

    name: str
    label: str
    command: Callable[[int], list[str]]
    path: str
    environment: dict[str, str] = field(default_factory=dict)
    streams: int = 0
    connections: int = CONNECTIONS


@dataclass(frozen=True, slots=True)
class Sample:
    """One site in one round."""

    run: HttpRun
    cpu: Usage

    @property
    def per_cpu_second(self) -> float:
        return self.run.responses / self.cpu.total

    @property
    def per_second(self) -> float:
        return self.run.responses / self.run.elapsed


Samples = dict[str, list[Sample]]


def measure_sites(sites: Sequence[Site], names: Sequence[str], rounds: int) -> Samples:
    """Every site once, then every site again: A B C A B C. All servers are up all the time."""
    chosen = [site for site in sites if not names or site.name in names]
    if not chosen:
        known = ", ".join(site.name for site in sites)
        raise BenchmarkError(f"None of {', '.join(names)} takes part here; these do: {known}.")
    samples: Samples = defaultdict(list)
    with contextlib.ExitStack() as stack:
        entries = []
        for site in chosen:
            server = stack.enter_context(Server(site.label, site.command, site.environment))
            _round(server, site, WARM_UP_SECONDS)
            entries.append((site, server))
        for _ in range(rounds):
            for site, server in entries:
                samples[site.name].append(_round(server, site, ROUND_SECONDS))
    for site in chosen:
        _tell(site.label, samples[site.name])
    return samples


def _round(server: Server, site: Site, seconds: float) -> Sample:
    """On fresh connections: servers close those that are idle while the others are measured."""
    load_of_site = HttpLoad(server.port, site.path, site.connections, site.streams)
    with explained(server), load_of_site as load:
        before = server.cpu()
        run = load.get(seconds)
        return Sample(run, server.cpu().since(before))


def ratio(samples: Samples, ours: str, theirs: str) -> dict[str, float]:
    """By what factor ``ours`` serves more per second of CPU; nothing if one was not measured."""
    if ours not in samples or theirs not in samples:
        return {}
    pair = ([one.per_cpu_second for one in samples[name]] for name in (ours, theirs))
    return {f"{ours}_vs_{theirs}": paired(*pair)}


def _tell(label: str, taken: Sequence[Sample]) -> None:
    say(
        f"    {label:34} {middle(one.per_cpu_second for one in taken):9,.0f} responses per CPU "
        f"second, {middle(one.per_second for one in taken):9,.0f} per second, mean "
        f"{middle(one.run.mean for one in taken) * 1e3:.1f} ms, server at "
        f"{middle(one.cpu.total / one.run.elapsed for one in taken):.0%} of its core"
    )
    warn_if_busy(label, middle(one.run.cpu / one.run.elapsed for one in taken))
