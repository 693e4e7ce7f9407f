"""One server process: started with its parent's life, paused, killed, ended.

What lives here: `Server`. What must not: what is served.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.waiting import wait_for

_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """A command that runs until it is stopped, or its parent ends.

    :param ready: whether it serves; asked again and again after the start.
    """

    def __init__(self, command: Sequence[str], directory: Path, ready: Callable[[], bool]) -> None:
        self.command = list(command)
        self.directory = directory
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it serves."""
        self.launch()
        wait_for(self._ready, f"{Path(self.command[0]).name} to serve")

    def launch(self) -> None:
        """Start without waiting."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.directory,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  no thread starts servers
            )

    def kill(self) -> None:
        """As a crash: SIGKILL. Not running: nothing."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """In order: SIGTERM."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Let it hang: SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
