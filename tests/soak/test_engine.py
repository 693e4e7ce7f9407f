"""A short soak of engines: every fault once, nothing lost in silence, and everybody told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from soak.engine import FAULTS

ROOT = Path(__file__).parent.parent.parent
OPTIONS = [
    "--seconds",
    "1",
    "--subscribers",
    "40",
    "--tasks",
    "600",
    "--pause",
    "1",
    "--calm",
    ".4",
]

#: Engine → the faults that it has.
COURSES = {
    "local": {"cut_server", "cut_publisher", "engine_kill", "engine_pause"},
    "redis": {"cut_server", "cut_publisher", "engine_kill", "engine_pause", "engine_full"},
}


@pytest.mark.parametrize("engine", COURSES)
def test_an_engine_under_faults_loses_nothing_in_silence(engine: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "soak", "--engine", engine, *OPTIONS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    figures = json.loads(lines[-1])
    assert [figures[name] for name in FAULTS] == [0] * len(FAULTS), done.stdout
    course = COURSES[engine] | {"kill_worker", "kill_publisher", "visitors", "burst"}
    assert {line.partition(":")[0] for line in lines if ": " in line} >= course
    assert figures["faults"] >= len(course)
    assert figures["deliveries"] >= 40 * 10_000 / 4
    assert figures["tasks_sent"] > 0
    assert figures["visits"] > 0
    if engine == "redis":
        assert figures["told_full"] > 0
        assert figures["gaps_told"] >= 40  # a killed server's epoch ends with it
