"""Django: one project, as `startproject` makes it, with a sync and an async view, under each.

What lives here: the servers and their ratios.
What must not: rounds and samples (`http_rounds`).

Every server has one worker and, where sync views run in threads of its own choosing, `THREADS` of
them. uvicorn and Daphne run Django's own ASGI application.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.http_rounds import CONNECTIONS, Site, measure_sites, ratio
from benchmarks.procs import python
from benchmarks.report import Ratios, say

PROJECT = "benchmarks.projects.django_project"
#: Seaway's default.
THREADS = 8


def _seaway(port: int) -> list[str]:
    application = f"{PROJECT}.seaway_asgi:application"
    return python("-m", "seaway.server.cli", "serve", application, "--bind", f"127.0.0.1:{port}")


def _gunicorn(port: int) -> list[str]:
    return python(
        *("-m", "gunicorn", f"{PROJECT}.wsgi:application", "-b", f"127.0.0.1:{port}"),
        *("-k", "gthread", "--threads", str(THREADS), "-w", "1", "--keep-alive", "75"),
        *("--log-level", "warning"),
    )


def _granian(port: int) -> list[str]:
    return python(
        *("-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--blocking-threads", str(THREADS), "--no-ws"),
        *("--log-level", "warning", f"{PROJECT}.wsgi:application"),
    )


def _uvicorn(port: int) -> list[str]:
    return python(
        *("-m", "uvicorn", f"{PROJECT}.asgi:application", "--host", "127.0.0.1"),
        *("--port", str(port), "--no-access-log", "--log-level", "warning"),
    )


def _daphne(port: int) -> list[str]:
    return python(
        *("-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "-v", "0"),
        f"{PROJECT}.asgi:application",
    )


SITES = [
    Site("sync", "Seaway, sync view", _seaway, "/sync/"),
    Site("gunicorn", "gunicorn gthread (WSGI), sync view", _gunicorn, "/sync/"),
    Site("granian_wsgi", "granian (WSGI), sync view", _granian, "/sync/"),
    Site("uvicorn", "uvicorn (ASGI), sync view", _uvicorn, "/sync/"),
    Site("daphne", "Daphne (ASGI), sync view", _daphne, "/sync/"),
    Site("async", "Seaway, async view", _seaway, "/async/"),
    Site("uvicorn_async", "uvicorn (ASGI), async view", _uvicorn, "/async/"),
]


def measure(names: Sequence[str], rounds: int) -> Ratios:
    """Run the benchmark; the ratios between the contestants that took part."""
    say(f"django: {CONNECTIONS} connections, default middleware, {THREADS} threads, one core")
    samples = measure_sites(SITES, names, rounds)
    ratios: Ratios = {}
    for theirs in ("gunicorn", "granian_wsgi", "uvicorn", "daphne"):
        ratios |= ratio(samples, "sync", theirs)
    for value in ratio(samples, "async", "uvicorn_async").values():
        ratios["async_vs_uvicorn"] = value
    return ratios
