"""What a benchmark says: lines for people, and one JSON object for programs.

What lives here: medians, ratios, the machine's description, the file of results.
What must not: measuring.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.procs import BUSY_LOAD, HERE, cores

RESULTS = HERE / "results"

Ratios = dict[str, float]


def say(line: str = "") -> None:
    """A line for the person who waits."""
    print(line, flush=True)


def machine() -> str:
    """Processor, number of cores, Python: what a result is worth nothing without."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    server, load = cores()
    pinned = (
        f"server and load share core {server}: shares and rates mean little"
        if server == load
        else f"server on core {server}, load on core {load}"
    )
    return (
        f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores ({pinned}), "
        f"Linux {platform.release().partition('-')[0]}, {platform.python_implementation()} "
        f"{platform.python_version()}"
    )


def middle(values: Iterable[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """The least and the most, beside a median."""
    return f"{min(values):.2f} to {max(values):.2f}"


def paired(top: Sequence[float], bottom: Sequence[float]) -> float:
    """The median of the ratios within each round: what disturbs one round disturbs both sides."""
    return middle(a / b for a, b in zip(top, bottom, strict=True))


def warn_if_busy(label: str, share: float) -> None:
    if share > BUSY_LOAD:
        say(f"  warning: the load used {share:.0%} of its core at {label}; it may be the limit")


def finish(name: str, ratios: Mapping[str, float], *, keep: bool) -> None:
    """Print the ratios, one JSON object as the last line, and ``keep`` them in results/."""
    rounded = {key: round(value, 4) for key, value in ratios.items()}
    if keep:
        RESULTS.mkdir(exist_ok=True)
        document = {"machine": machine(), "ratios": rounded}
        (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
    say(json.dumps(rounded))


def fail(message: str) -> None:
    """Say why there is no result, and end."""
    print(f"benchmarks: {message}", file=sys.stderr)
    raise SystemExit(1)
