"""Processes of a project with a database of its own.

What lives here: `Project`: running code and commands in it.
What must not: looking at what came of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
TOPIC = "orders"
#: What code that is run finds there.
PRELUDE = """
import os, signal, sys, threading, time
import django
django.setup()
from django.contrib.auth.models import Group
from django.db import connection, transaction
from seaway import History
from seaway.topics.address import TopicAddress
orders = TopicAddress("orders", History(size=1000, seconds=3600))
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass
class Project:
    """Its settings."""

    databases: dict[str, Any]
    seaway: dict[str, Any] = field(default_factory=dict)

    def run(self, code: str, expect: int = 0) -> list[str]:
        """Run code in a process of its own to its end; what it printed."""
        process = self.start([sys.executable, "-c", PRELUDE + code])
        return self.end(process, expect)

    def manage(self, *arguments: str, expect: int = 0) -> list[str]:
        """A command of Django's."""
        process = self.start([sys.executable, "-m", "django", *arguments])
        return self.end(process, expect)

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        """A process that is left running; its output is captured."""
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.outbox.settings",
            "TEST_DATABASES": json.dumps(self.databases),
            "TEST_SEAWAY": json.dumps(self.seaway),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        }
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def end(self, process: subprocess.Popen[str], expect: int = 0) -> list[str]:
        """Wait for its end; its lines."""
        out, err = process.communicate(timeout=60)
        assert process.returncode == expect, f"{process.returncode}\n{out}\n{err}"
        return out.splitlines()
