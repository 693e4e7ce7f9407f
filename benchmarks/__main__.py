"""`python -m benchmarks`: run one benchmark or all, print figures and ratios.

What lives here: the command line.
What must not: measuring.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys

from benchmarks import django, echo, engines, fanout, group_send, http, memory
from benchmarks.loads import build
from benchmarks.procs import BenchmarkError
from benchmarks.report import fail, finish, machine, say

BENCHMARKS = {
    "fanout": fanout.measure,
    "group_send": group_send.measure,
    "memory": memory.measure,
    "echo": echo.measure,
    "http": http.measure,
    "django": django.measure,
    "engines": engines.measure,
}
#: File descriptors that server and load each need, with room.
DESCRIPTORS = max(8192, memory.CONNECTIONS + 1024)


def main() -> None:
    # So that an end from outside, too, ends what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = _options()
    chosen = [options.only] if options.only else list(BENCHMARKS)
    contestants = [name for name in options.contestants.split(",") if name]
    say(machine())
    try:
        _allow_descriptors()
        build()
        for name in chosen:
            ratios = BENCHMARKS[name](contestants, options.rounds)
            finish(name, ratios, keep=not contestants)
    except BenchmarkError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        choices=BENCHMARKS,
        default=os.environ.get("ONLY") or None,
        help="one benchmark instead of all; the environment variable ONLY does the same",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (default: 5)")
    parser.add_argument(
        "--contestants",
        default="",
        metavar="A,B",
        help="only these servers, or engines (results not kept)",
    )
    options = parser.parse_args()
    if options.only not in {None, *BENCHMARKS}:
        parser.error(f"ONLY={options.only} is not one of {', '.join(BENCHMARKS)}.")
    if options.rounds < 1:
        parser.error("--rounds needs at least 1.")
    return options


def _allow_descriptors() -> None:
    """Children inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        raise BenchmarkError(f"{DESCRIPTORS} open files are needed, the limit is {hard}.")
    if soft != resource.RLIM_INFINITY and soft < DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))


if __name__ == "__main__":
    main()
