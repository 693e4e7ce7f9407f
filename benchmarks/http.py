"""HTTP: the same plain ASGI application that says hello, under each server.

What lives here: the servers and their ratios.
What must not: rounds and samples (`http_rounds`).
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.http_rounds import CONNECTIONS, Site, measure_sites, ratio
from benchmarks.procs import python
from benchmarks.report import Ratios, say

HELLO = "benchmarks.projects.hello_asgi:application"


def _seaway(port: int) -> list[str]:
    return python("-m", "seaway.server.cli", "serve", HELLO, "--bind", f"127.0.0.1:{port}")


def _uvicorn(port: int) -> list[str]:
    return python(
        *("-m", "uvicorn", HELLO, "--host", "127.0.0.1", "--port", str(port)),
        *("--no-access-log", "--log-level", "warning"),
    )


SITES = [
    Site("h1", "Seaway, HTTP/1.1", _seaway, "/"),
    Site("uvicorn", "uvicorn, HTTP/1.1", _uvicorn, "/"),
]


def measure(names: Sequence[str], rounds: int) -> Ratios:
    """Run the benchmark; the ratios between the contestants that took part."""
    say(f"http: {CONNECTIONS} connections, a plain ASGI application, one core")
    return ratio(measure_sites(SITES, names, rounds), "h1", "uvicorn")
