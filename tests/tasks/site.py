"""A project whose processes share a layer: real workers, and the test itself.

What lives here: `Site`, and the servers that it runs on. What must not: tests.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from django.test import override_settings

import seaway
from seaway.conf import close_layer_home
from tests.servers.nats import Nats
from tests.servers.postgres import postgres_server
from tests.servers.valkey import Valkey
from tests.waiting import wait_for

ROOT = Path(seaway.__file__).parents[1], Path(__file__).parents[2]
#: Seconds after which a worker counts as dead.
LEASE = 1.0
SETTINGS = """
from tests.settings import *
BASE_DIR = {base!r}
SEAWAY = {seaway!r}
TASKS = {tasks!r}
"""
_numbers = itertools.count()


class Site:
    """A project whose processes share a layer: workers of their own, and this test."""

    def __init__(self, directory: Path, seaway_settings: dict[str, str]) -> None:
        self.directory = directory
        self.workers: list[subprocess.Popen[bytes]] = []
        self.seaway = seaway_settings
        self.tasks = {
            "default": {
                "BACKEND": "seaway.tasks.backend.SeawayBackend",
                "OPTIONS": {"DEATHS": 0, "LEASE": LEASE},
            }
        }
        self.write_settings()

    def write_settings(self) -> None:
        base = str(self.directory)
        text = SETTINGS.format(base=base, seaway=self.seaway, tasks=self.tasks)
        (self.directory / "site_settings.py").write_text(text)

    def start_worker(self) -> subprocess.Popen[bytes]:
        log = self.directory / f"worker-{len(self.workers)}.log"
        with log.open("wb") as output:
            worker = subprocess.Popen(
                [sys.executable, "-m", "django", "runworker"],
                cwd=self.directory,
                env={
                    **os.environ,
                    "DJANGO_SETTINGS_MODULE": "site_settings",
                    "PYTHONPATH": os.pathsep.join(map(str, (self.directory, *ROOT))),
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.workers.append(worker)
        wait_for(lambda: "Ctrl+C" in log.read_text() or worker.poll(), "A start block")
        assert worker.poll() is None, log.read_text()
        return worker

    def kill_in_the_midst(self, worker: subprocess.Popen[bytes]) -> None:
        begun = self.directory / "begun"
        wait_for(lambda: begun.exists() and begun.read_text() == str(worker.pid), "The task")
        worker.send_signal(signal.SIGKILL)
        worker.wait(60)

    def let_go(self) -> None:
        (self.directory / "go").touch()


@contextlib.contextmanager
def started_servers(make: Callable[[str], Path]) -> Iterator[Callable[[str], str]]:
    """Engine → its address; each server is started when it is first asked for."""
    running: dict[str, str] = {}

    def address(engine: str) -> str:
        if engine not in running:
            directory = make(engine)
            if engine == "postgres":
                running[engine] = stack.enter_context(postgres_server()).url()
            else:
                server = (Valkey if engine == "redis" else Nats)(directory / "data").start()
                stack.callback(server.kill)
                running[engine] = server.url
        return running[engine]

    with contextlib.ExitStack() as stack:
        yield address


@contextlib.contextmanager
def project(engine: str, servers: Callable[[str], str]) -> Iterator[Site]:
    """A site on an engine, and the settings of its processes in this one."""
    with tempfile.TemporaryDirectory(prefix="sw-") as name:
        here = f"local://{name}"
        layer = here if engine == "local" else servers(engine)
        site = Site(Path(name), {"LAYER": layer, "NAMESPACE": f"deaths{next(_numbers)}"})
        close_layer_home()
        # So that this process and the workers find the same broker.
        ours = {"BASE_DIR": name, "SETTINGS_MODULE": "site_settings"}
        with override_settings(SEAWAY=site.seaway, TASKS=site.tasks, **ours):
            yield site
            close_layer_home()
        for worker in site.workers:
            worker.kill()
            worker.wait(60)
