"""``run.py``, which ``make demo`` starts: a worker and a server that come and go together."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.project import PATIENCE, ROOT, Project
from tests.waiting import wait_for


class Both:
    """``run.py`` on a port of its own."""

    def __init__(self, project: Project, port: int = 0) -> None:
        self.log = project.directory / "run.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "run.py", f"--bind=127.0.0.1:{port}", "--workers=1"],
                cwd=ROOT,
                env={**project.environment, "PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def says(self, words: str) -> re.Match[str]:
        """Waits until it does."""
        found: re.Match[str] = wait_for(
            lambda: re.search(words, self.log.read_text()), f"{words!r}", PATIENCE
        )
        return found

    def starts(self) -> tuple[int, int]:
        """The worker's process id and the server's port, once both are up."""
        worker = int(self.says(r"Seaway worker, pid (\d+)")[1])
        port = int(self.says(r"http://127\.0\.0\.1:(\d+)")[1])
        wait_for(lambda: answers(port), "An answer", PATIENCE)
        return worker, port

    def ends(self) -> int:
        return self.process.wait(PATIENCE)


@pytest.fixture
def project() -> Iterator[Project]:
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        project = Project(Path(directory))
        project.manage("migrate", "--verbosity=0")
        yield project


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl+C", "TERM"])
def test_both_are_stopped_in_order(project: Project, number: signal.Signals) -> None:
    both = Both(project)
    _, port = both.starts()
    os.killpg(both.process.pid, number)
    assert both.ends() == 0, both.log.read_text()
    both.says(r"Stopped: 0 messages handled")
    assert not answers(port)
    assert "Traceback" not in both.log.read_text()


def test_a_worker_that_is_gone_ends_the_server(project: Project) -> None:
    both = Both(project)
    worker, port = both.starts()
    os.kill(worker, signal.SIGKILL)
    assert both.ends() == signal.SIGKILL
    assert not answers(port)


def test_a_server_that_cannot_start_ends_the_worker(project: Project) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        both = Both(project, taken.getsockname()[1])
        assert both.ends() != 0
    assert "Traceback" not in both.log.read_text()
