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


def _hypercorn(port: int) -> list[str]:
    # On uvloop, like the others.
    return python(
        *("-m", "hypercorn", HELLO, "--bind", f"127.0.0.1:{port}", "-k", "uvloop"),
        *("--log-level", "warning"),
    )


#: A browser has one connection to a server and asks for a handful of things at once.
HTTP2_CONNECTIONS, STREAMS = 100, 10

SITES = [
    Site("h1", "Seaway, HTTP/1.1", _seaway, "/"),
    Site("uvicorn", "uvicorn, HTTP/1.1", _uvicorn, "/"),
    Site("h2", "Seaway, HTTP/2", _seaway, "/", {}, STREAMS, HTTP2_CONNECTIONS),
    Site("hypercorn", "hypercorn, HTTP/2", _hypercorn, "/", {}, STREAMS, HTTP2_CONNECTIONS),
]


def measure(names: Sequence[str], rounds: int) -> Ratios:
    """Run the benchmark; the ratios between the contestants that took part."""
    say("http: a plain ASGI application, one core")
    say(f"    HTTP/1.1: {CONNECTIONS} connections")
    say(f"    HTTP/2: {HTTP2_CONNECTIONS} connections with {STREAMS} requests at once on each")
    samples = measure_sites(SITES, names, rounds)
    return ratio(samples, "h1", "uvicorn") | ratio(samples, "h2", "hypercorn")
