"""Tasks that do nothing, from one process to one worker: beside procrastinate and dramatiq.

What lives here: the rounds. What must not: who sends and works (`chores`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack

from benchmarks.engines.children import Child
from benchmarks.procs import BenchmarkError, cores
from benchmarks.report import Ratios, middle, paired, say

TASKS = 2000
#: Seconds without any task done after which there is something wrong.
_PATIENCE = 30.0


async def measure(contestants: dict[str, str], rounds: int) -> Ratios:
    """Tasks a second, beside the others. ``contestants``: kind → address."""
    rates: dict[str, list[float]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        pairs = []
        for kind, url in contestants.items():
            sender = await stack.enter_async_context(Child("doer", kind, url, cores()[0]))
            if kind == "procrastinate":
                await sender("migrate")
            worker = await stack.enter_async_context(Child("doer", kind, url, cores()[1]))
            await worker("work")
            await sender("send", 100)
            await _done(worker, 100)
            pairs.append((kind, sender, worker))
        for _ in range(rounds):
            for kind, sender, worker in pairs:
                await worker("forget")
                begun = (await sender("send", TASKS))["begun"]
                rates[kind].append(TASKS / (await _done(worker, TASKS) - begun))
    for kind, taken in rates.items():
        say(f"    tasks, {kind:15} {middle(taken):7,.0f} per second")
    ours = rates["seaway"]
    return {
        "tasks_per_second": middle(ours),
        **{
            f"tasks_vs_{kind}": paired(ours, taken)
            for kind, taken in rates.items()
            if kind != "seaway"
        },
    }


async def _done(worker: Child, count: int) -> float:
    """Wait for so many; when the last was done."""
    loop = asyncio.get_running_loop()
    before, since = -1, loop.time()
    while True:
        answer = await worker("done")
        if answer["count"] >= count:
            return float(answer["last"])
        if answer["count"] != before:
            before, since = answer["count"], loop.time()
        if loop.time() - since > _PATIENCE:
            raise BenchmarkError(f"{worker.kind}: {before} of {count} tasks were done")
        await asyncio.sleep(0.05)
