"""The demo as a test runs it: real processes, a database and a broker of its own.

What lives here: starting and stopping the project. What must not: browsers (`conftest`), tests.
"""

from __future__ import annotations

import http.client
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.commands import end, python
from tests.servers.ports import free_port
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2] / "examples" / "seatmap"
#: Seconds that anything may take before a test gives up; far more than it needs.
PATIENCE = 60.0


class Project:
    """The demo's project with a database in ``directory``; nothing is shared with another one."""

    def __init__(self, directory: Path, **settings: object) -> None:
        self.directory = directory
        self.database = directory / "db.sqlite3"
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SEATMAP_DATABASE": str(self.database),
            "SEATMAP_LAYER": f"local://{directory}",
            "SEATMAP_PRINTER": str(directory / "tickets.txt"),
            "PYTHONWARNINGS": "default",
            **{f"SEATMAP_{key.upper()}": str(value) for key, value in settings.items()},
        }

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a management command to its end."""
        done = python("manage.py", *arguments, cwd=ROOT, env=self.environment)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def build(self) -> None:
        self.manage("migrate", "--verbosity=0")
        self.manage("load_venue")

    def seat(self, name: str) -> int:
        """The id of a seat by its name, as in ``"Stalls C4"``."""
        section, place = name.split()
        with sqlite3.connect(self.database) as connection:
            found = connection.execute(
                "SELECT id FROM seats_seat WHERE section = ? AND row = ? AND number = ?",
                (section, place[0], int(place[1:])),
            ).fetchone()
        connection.close()
        return int(found[0])


class Server:
    """``seaway serve`` for a project, on a free port."""

    def __init__(self, project: Project, workers: int = 2) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = project.directory / "server.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("seaway")),
                    "serve",
                    "config.asgi:application",
                    f"--bind=127.0.0.1:{self.port}",
                    f"--workers={workers}",
                ],
                cwd=ROOT,
                env=project.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait_until_up(self) -> None:
        wait_for(self._answers, f"An answer at {self.url}\n{self.log.read_text()}\n")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == 302
        except (ConnectionError, OSError):
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        end(self.process, PATIENCE)
