"""Engines: what Seaway's layer makes of each, beside the engine's bare client and other libraries.

What lives here: the order of things, and one line of JSON for each engine.
What must not: measuring; that is `events`, `rooms`, `groups` and `tasks`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.engines import events, groups, rooms, tasks
from benchmarks.engines.servers import ENGINES, Engine
from benchmarks.procs import BenchmarkError
from benchmarks.report import Ratios, say


def measure(names: Sequence[str], rounds: int) -> Ratios:
    """All figures of the engines that are named (none: of all), by engine and figure."""
    unknown = set(names) - set(ENGINES)
    if unknown:
        raise BenchmarkError(f"No engine {', '.join(sorted(unknown))}: {', '.join(ENGINES)}.")
    found: Ratios = {}
    for name in names or ENGINES:
        ratios = asyncio.run(_one(name, rounds))
        rounded = {key: round(value, 3) for key, value in ratios.items()}
        say(json.dumps({"engine": name, **rounded}))
        found |= {f"{name}_{key}": value for key, value in ratios.items()}
    return found


async def _one(name: str, rounds: int) -> Ratios:
    say(f"  {name}:")
    with ExitStack() as stack:
        engine = stack.enter_context(ENGINES[name]())
        # The peers that need a Redis have it as their own, also beside other engines.
        redis = engine if name == "redis" else stack.enter_context(ENGINES["redis"]())
        ratios = await events.measure(name, engine, rounds)
        ratios |= await rooms.measure(engine.url, redis.bare, rounds)
        ratios |= await groups.measure(engine.url, redis.bare, rounds)
        ratios |= await tasks.measure(_chores(name, engine, redis), rounds)
    return ratios


def _chores(name: str, engine: Engine, redis: Engine) -> dict[str, str]:
    chores = {"seaway": engine.url, "dramatiq": redis.bare}
    if name == "postgres":
        chores["procrastinate"] = engine.bare
    return chores
