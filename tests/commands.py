"""Python in processes of its own.

What lives here: running one to its end, and ending one that serves. What must not: what they run.
"""

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def python(
    *arguments: str,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    patience: float = 60.0,
) -> "subprocess.CompletedProcess[str]":
    """Run Python to its end.

    :param patience: seconds that it may take; far more than it needs.
    """
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )


def said(*arguments: str, **options: Any) -> str:
    """What `python` has said on standard output; it must succeed."""
    done = python(*arguments, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def end(process: "subprocess.Popen[bytes]", patience: float) -> None:
    """Ask a process to go; one that does not is killed, and fails the test."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
