"""Recycling: when a worker has lived, worked or grown enough to be replaced.

What lives here: the worker's own judgement, looked at with each sweep.
What must not: replacing it; that is the supervisor's, which sees to it that one goes at a time and
that the new one is ready before.
"""

from __future__ import annotations

import os
import random
import resource
import sys
from pathlib import Path

from seaway.server.config import ServerConfig
from seaway.server.context import Context

_STATM = Path("/proc/self/statm")


class Recycling:
    """Tells when one of the limits is reached; each less a part chosen by chance, so that workers
    that have started together do not leave together."""

    __slots__ = ("_age", "_began", "_context", "_memory", "_requests")

    def __init__(self, config: ServerConfig, context: Context) -> None:
        part = 1 - random.random() * config.recycle_jitter  # noqa: S311 - not a secret
        self._context = context
        self._age = config.recycle_age * part
        self._requests = config.recycle_requests * part
        self._memory = config.recycle_memory * part
        self._began = context.loop.time()

    def reason(self) -> str:
        """Why this worker should be replaced; empty while it should not."""
        age = self._context.loop.time() - self._began
        if self._age and age >= self._age:
            return f"age {age:.0f} s"
        if self._requests and self._context.requests >= self._requests:
            return f"{self._context.requests} requests"
        if self._memory and (size := memory()) >= self._memory:
            return f"memory {size} bytes"
        return ""


def wanted(config: ServerConfig) -> bool:
    """Whether any limit is set."""
    return bool(config.recycle_age or config.recycle_requests or config.recycle_memory)


def memory() -> int:
    """Resident bytes of this process; where there is no /proc, the most that it ever had."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return size if sys.platform == "darwin" else size * 1024
