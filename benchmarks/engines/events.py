"""Events between processes: how long they take, what receiving one costs, how many are sent.

What lives here: the rounds, side by side with the engine's bare client.
What must not: who publishes and receives (`parties`).
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections import defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from soak.cable import Cable

from benchmarks.engines.children import Child
from benchmarks.engines.servers import BARE, STORING, Engine
from benchmarks.procs import BenchmarkError, cores
from benchmarks.report import Ratios, middle, paired, say

#: Events of a round, one by one, and the seconds between them.
PINGS, PAUSE = 400, 0.002
FLOOD = 20_000
#: Processes with subscribers, and events that are counted.
FOLLOWERS, COUNTED = 3, 50


@dataclass
class Samples:
    """One contestant's rounds: microseconds, and events a second: of CPU, by the clock while they
    are published, and by the clock when all wait already."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    per_cpu: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)
    piled_up: list[float] = field(default_factory=list)


async def measure(name: str, engine: Engine, rounds: int) -> Ratios:
    """One engine's ratios and medians."""
    bare = BARE[name]
    samples: dict[str, Samples] = defaultdict(Samples)
    async with AsyncExitStack() as stack:
        pairs = []
        storing = [STORING[name]] if name in STORING else []
        for kind in ("seaway", "seaway-history", bare, *storing):
            url = engine.url if kind.startswith("seaway") else engine.bare
            speaker = await stack.enter_async_context(Child("speaker", kind, url, cores()[0]))
            listener = await stack.enter_async_context(Child("listener", kind, url, cores()[1]))
            await listener("listen")
            pairs.append((kind, speaker, listener))
            await speaker("ping", 50, PAUSE)
            await _await_count(listener, 50)
            await listener("heard")
        for _ in range(rounds):
            for kind, speaker, listener in pairs:
                await _round(samples[kind], speaker, listener)
    for kind, taken in samples.items():
        say(
            f"    {kind:15} p50 {middle(taken.p50):6,.0f} µs, p99 {middle(taken.p99):6,.0f} µs, "
            f"{middle(taken.per_cpu):9,.0f} events per CPU second of who receives, "
            f"{middle(taken.per_second):8,.0f} per second, {middle(taken.piled_up):9,.0f} piled up"
        )
    ours, kept, theirs = samples["seaway"], samples["seaway-history"], samples[bare]
    figures = {
        "p50_us": middle(ours.p50),
        "p99_us": middle(ours.p99),
        "p50_vs_bare": paired(ours.p50, theirs.p50),
        "p99_vs_bare": paired(ours.p99, theirs.p99),
        "p50_with_history_vs_bare": paired(kept.p50, theirs.p50),
        "throughput_vs_bare": paired(ours.per_cpu, theirs.per_cpu),
        "throughput_vs_bare_piled_up": paired(ours.piled_up, theirs.piled_up),
        "throughput_vs_bare_by_clock": paired(ours.per_second, theirs.per_second),
        "messages_per_publish": await _messages_per_publish(engine),
    }
    for kind in storing:
        figures["p50_vs_bare_stored"] = paired(ours.p50, samples[kind].p50)
        figures["p50_with_history_vs_bare_stored"] = paired(kept.p50, samples[kind].p50)
    return figures


async def _round(samples: Samples, speaker: Child, listener: Child) -> None:
    await speaker("ping", PINGS, PAUSE)
    await _await_count(listener, PINGS)
    delays = sorted((await listener("heard"))["delays"])
    samples.p50.append(delays[len(delays) // 2] / 1000)
    samples.p99.append(delays[len(delays) * 99 // 100] / 1000)
    before = await listener("so_far")
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await speaker("flood", FLOOD)
    after = await _await_count(listener, FLOOD + 1)
    samples.per_second.append(FLOOD / (loop.time() - begun))
    samples.per_cpu.append(FLOOD / (after - before["cpu"]))
    await listener("heard")
    with listener.frozen():
        last = (await speaker("flood", FLOOD))["last"]
    begun_ns = time.monotonic_ns()
    await _await_count(listener, FLOOD + 1)
    ended_ns = last + (await listener("heard"))["delays"][-1]
    samples.piled_up.append(FLOOD / ((ended_ns - begun_ns) / 1e9))


async def _await_count(listener: Child, count: int) -> float:
    """Wait until so many have come; the listener's CPU seconds until then."""
    last = -1
    while True:
        answer = await listener("so_far")
        if answer["count"] >= count:
            return float(answer["cpu"])
        if answer["count"] == last:
            await asyncio.sleep(0.2)
            answer = await listener("so_far")
            if answer["count"] == last:
                raise BenchmarkError(f"{listener.kind}: {last} of {count} events have come")
        last = answer["count"]
        await asyncio.sleep(0.02)


class _Meter(Cable):
    """A cable that counts how often an event's words come from the engine."""

    #: As they are, and in Base64 with line breaks, as PostgreSQL's notifications have them.
    words = re.compile(rb"x{150}|(?:eHh4\s*){40}")

    def __init__(self, target: tuple[str, int] | Path) -> None:
        super().__init__(target)
        self.count = 0

    def passes(self, data: bytes) -> None:
        self.count += len(self.words.findall(data))


async def _messages_per_publish(engine: Engine) -> float:
    """How often the engine sends each event: three processes follow, one does not."""
    async with AsyncExitStack() as stack:
        meters, listeners = [], []
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench"))
        for number in range(FOLLOWERS + 1):
            at = engine.listens
            meter = _Meter(("127.0.0.1", at) if isinstance(at, int) else at)
            path = Path(folder) / str(number)
            await meter.start(None if isinstance(at, int) else path)
            stack.push_async_callback(meter.close)
            url = engine.by(meter.port or path)
            child = Child("listener", "seaway", url, cores()[1])
            listeners.append(await stack.enter_async_context(child))
            meters.append(meter)
        for child in listeners[:FOLLOWERS]:
            for _ in range(10):
                await child("listen")
        speaker = await stack.enter_async_context(
            Child("speaker", "seaway", engine.url, cores()[0])
        )
        before = sum(meter.count for meter in meters)
        await speaker("ping", COUNTED, PAUSE)
        for child in listeners[:FOLLOWERS]:
            await _await_count(child, COUNTED * 10)
        return (sum(meter.count for meter in meters) - before) / COUNTED
