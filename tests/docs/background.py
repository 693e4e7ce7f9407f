"""A command that a reader leaves running in a terminal of its own.

What lives here: starting it, waiting for what it says, and Ctrl+C.
What must not: which commands those are.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

#: Seconds that a command may take to say what it should, and to stop.
PATIENCE = 60.0


class Background:
    """A running command.

    :param log: where what it says is kept.
    """

    def __init__(
        self, words: Sequence[str], here: Path, environment: Mapping[str, str], log: Path
    ) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                words,
                cwd=here,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until(self, says: Callable[[str], bool], wanted: str) -> None:
        """Return when it has said enough. :raises AssertionError: it does not, or it has ended."""
        give_up = time.monotonic() + PATIENCE
        while True:
            said = self._log.read_text(encoding="utf-8")
            gone = self._process.poll() is not None
            if not gone and says(said):
                return
            if gone or time.monotonic() > give_up:
                raise AssertionError(f"{wanted}, but it says:\n{said}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Press Ctrl+C: the signal reaches the command and the processes that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(PATIENCE)
        finally:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
