"""Ports for servers under test: no two get the same, in one process or in several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.servers.ports import free_port

ROOT = Path(__file__).parent.parent.parent
SAY = "from tests.servers.ports import free_port; print(*(free_port() for _ in range(1500)))"


def test_no_two_processes_get_one_port() -> None:
    """With 4,500 of 20,000, about 450 would be given twice by chance."""
    ours = [free_port() for _ in range(1500)]
    others = [
        subprocess.Popen(
            [sys.executable, "-c", f"{SAY}; input()"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ports = ours + [int(port) for other in others for port in read_line(other).split()]
    for other in others:
        other.communicate("\n", timeout=60)
    assert len(ports) == 4500
    assert len(set(ports)) == len(ports)


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()
