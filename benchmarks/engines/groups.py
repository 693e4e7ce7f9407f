"""Sending to a group of 1,000 channels in 4 processes, beside both layers of channels_redis.

Layers only: each member is a task that receives. `rooms` has servers and clients around them.

What lives here: the rounds, with what was lost. What must not: the members (`crowds`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from benchmarks.engines.children import Child
from benchmarks.procs import cores
from benchmarks.report import Ratios, middle, paired, say

PROCESSES, MEMBERS = 4, 1000
#: Messages of a round: so that it takes about as long for all.
MESSAGES = {"seaway": 60, "core": 6, "pubsub": 6}
#: Seconds without a delivery after which what has not come is lost.
_QUIET = 2.0


@dataclass
class Samples:
    """Deliveries a second by the clock, and of CPU of all five processes; and those missing."""

    per_second: list[float] = field(default_factory=list)
    per_cpu: list[float] = field(default_factory=list)
    sent: int = 0
    lost: int = 0


async def measure(url: str, redis: str, rounds: int) -> Ratios:
    """Seaway on ``url`` beside channels_redis on ``redis``."""
    samples: dict[str, Samples] = defaultdict(Samples)
    for _ in range(rounds):
        for kind in MESSAGES:
            await _round(samples[kind], kind, url if kind == "seaway" else redis)
    return ratios("group_send", samples)


def ratios(what: str, samples: dict[str, Samples]) -> Ratios:
    """Say the medians; Seaway's beside the others', and what each has lost."""
    for kind, taken in samples.items():
        say(
            f"    {what}, {kind:8} {middle(taken.per_second):9,.0f} deliveries per second, "
            f"{middle(taken.per_cpu):9,.0f} per CPU second; {taken.lost:,} of {taken.sent:,} lost"
        )
    ours = samples["seaway"]
    found: Ratios = {f"{what}_per_second": middle(ours.per_second), f"{what}_lost": ours.lost}
    for kind, name in (("core", "channels_redis"), ("pubsub", "channels_redis_pubsub")):
        theirs = samples[kind]
        found[f"{what}_vs_{name}"] = paired(ours.per_second, theirs.per_second)
        found[f"{what}_vs_{name}_by_cpu"] = paired(ours.per_cpu, theirs.per_cpu)
        found[f"{what}_lost_by_{name}"] = theirs.lost / theirs.sent
    return found


async def _round(samples: Samples, kind: str, url: str) -> None:
    async with AsyncExitStack() as stack:
        crowds = [
            await stack.enter_async_context(Child("members", kind, url, cores()[number % 2]))
            for number in range(PROCESSES)
        ]
        sender = await stack.enter_async_context(Child("members", kind, url, cores()[0]))
        await asyncio.gather(*(crowd("join", MEMBERS // PROCESSES) for crowd in crowds))
        await sender("send", 1)
        await _count(crowds, MEMBERS)
        before = sum([(await child("forget"))["cpu"] for child in (*crowds, sender)])
        sent = MESSAGES[kind] * MEMBERS
        begun = (await sender("send", MESSAGES[kind]))["begun"]
        got, last, cpu = await _count(crowds, sent)
        cpu += (await sender("received"))["cpu"]
        samples.per_second.append(got / (last - begun))
        samples.per_cpu.append(got / (cpu - before))
        samples.sent += sent
        samples.lost += sent - got


async def _count(crowds: list[Child], expected: int) -> tuple[int, float, float]:
    """Wait for all, or until none comes any more; how many, when the last, CPU seconds."""
    loop = asyncio.get_running_loop()
    before, quiet_since = -1, loop.time()
    while True:
        answers = [await crowd("received") for crowd in crowds]
        got = sum(answer["count"] for answer in answers)
        if got != before:
            before, quiet_since = got, loop.time()
        if got >= expected or loop.time() - quiet_since > _QUIET:
            cpu = sum(answer["cpu"] for answer in answers)
            return got, max(answer["last"] for answer in answers), cpu
        await asyncio.sleep(0.05)
