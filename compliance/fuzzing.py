"""What the fuzz targets share: the command line, atheris where it is installed, a loop where not.

What lives here: driving a target, which brings `check` and `mutate`.
What must not: any protocol.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import time
from collections.abc import Callable


def run(what: str, check: Callable[[bytes], None], mutate: Callable[[random.Random], bytes]) -> int:
    """Fuzz ``check``; the exit status. Any exception that leaves it is a finding.

    :param mutate: makes one input, for the built-in loop; atheris makes its own.
    """
    parser = argparse.ArgumentParser(description=f"Fuzz {what}.")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options, rest = parser.parse_known_args()
    try:
        # Imported by name: it has no types, and most who run this will not have it.
        atheris = importlib.import_module("atheris")
    except ImportError:
        return mutation_loop(check, mutate, options.seconds, options.seed)
    arguments = [sys.argv[0], f"-max_total_time={int(options.seconds)}", *rest]
    atheris.Setup([argument for argument in arguments if argument != "--"], check)
    atheris.Fuzz()
    return 0


def mutation_loop(
    check: Callable[[bytes], None],
    mutate: Callable[[random.Random], bytes],
    seconds: float,
    seed: int,
) -> int:
    """Check mutations until the time is up; the exit status."""
    source = random.Random(seed)  # noqa: S311  a reproducible sequence is the point
    deadline = time.monotonic() + seconds
    runs = 0
    while time.monotonic() < deadline:
        data = mutate(source)
        try:
            check(data)
        except Exception as error:  # noqa: BLE001  any exception at all is a finding
            sys.stdout.write(f"finding after {runs} inputs, seed {seed}:\n{data!r}\n{error!r}\n")
            return 1
        runs += 1
    sys.stdout.write(f"{runs} inputs, no finding (seed {seed})\n")
    return 0
