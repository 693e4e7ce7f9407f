"""Echo: the same plain ASGI application under each server, 100 connections in a closed loop.

What lives here: the rounds and their ratios.
What must not: how servers are started (`contestants`) or measured (`procs`).

The figure is messages per second of server CPU: what one saturated core serves. On an idle machine
it is the same as messages per second; on a shared one it is what remains meaningful.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import contestants as who
from benchmarks.loads import EchoRun, Load
from benchmarks.procs import Server, Usage, explained
from benchmarks.report import Ratios, middle, paired, say, warn_if_busy

CONTESTANTS = [who.PLAIN_SEAWAY, who.PLAIN_UVICORN, who.PLAIN_DAPHNE]
CONNECTIONS = 100
MESSAGE_BYTES = 120
ROUND_SECONDS = 3.0
WARM_UP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One contestant in one round."""

    run: EchoRun
    cpu: Usage

    @property
    def per_cpu_second(self) -> float:
        return self.run.messages / self.cpu.total

    @property
    def per_second(self) -> float:
        return self.run.messages / self.run.elapsed

    @property
    def saturation(self) -> float:
        """The share of its core that the server had."""
        return self.cpu.total / self.run.elapsed


def measure(names: Sequence[str], rounds: int) -> Ratios:
    """Run the benchmark; the ratios between the contestants that took part."""
    say(f"echo: {CONNECTIONS} connections, {MESSAGE_BYTES} bytes of text, one core")
    samples: dict[str, list[Sample]] = defaultdict(list)
    chosen = who.choose(CONTESTANTS, names)
    with contextlib.ExitStack() as stack:
        entries = []
        for contestant in chosen:
            server = stack.enter_context(contestant.serve())
            with explained(server):
                load = stack.enter_context(contestant.load(server, CONNECTIONS))
                load.echo(WARM_UP_SECONDS, MESSAGE_BYTES)
            entries.append((contestant.name, server, load))
        for _ in range(rounds):
            for name, server, load in entries:
                samples[name].append(_round(server, load))
    for contestant in chosen:
        _tell(contestant.label, samples[contestant.name])
    return _ratios(samples)


def _round(server: Server, load: Load) -> Sample:
    with explained(server):
        before = server.cpu()
        run = load.echo(ROUND_SECONDS, MESSAGE_BYTES)
        return Sample(run, server.cpu().since(before))


def _tell(label: str, taken: Sequence[Sample]) -> None:
    say(
        f"    {label:30} {middle(one.per_cpu_second for one in taken):9,.0f} messages per CPU "
        f"second, {middle(one.per_second for one in taken):9,.0f} per second, server at "
        f"{middle(one.saturation for one in taken):.0%} of its core"
    )
    warn_if_busy(label, middle(one.run.cpu / one.run.elapsed for one in taken))


def _ratios(samples: dict[str, list[Sample]]) -> Ratios:
    ratios: Ratios = {}
    if "seaway" not in samples:
        return ratios
    ours = samples["seaway"]
    for name, taken in samples.items():
        if name != "seaway":
            ratios[f"echo_vs_{name}"] = paired(
                [one.per_cpu_second for one in ours], [one.per_cpu_second for one in taken]
            )
            ratios[f"echo_vs_{name}_by_clock"] = paired(
                [one.per_second for one in ours], [one.per_second for one in taken]
            )
    return ratios
