"""The Valkey that Redis layers are measured with: a real one, on the server's core.

What lives here: starting, pinning and measuring it. What must not: who uses it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.procs import BenchmarkError, cores, cpu_seconds


class Store:
    """A Valkey that is up; all who are measured share it, one at a time."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._pid = pid

    def cpu(self) -> float:
        """CPU seconds it has used so far."""
        return cpu_seconds(self._pid)


@contextlib.contextmanager
def valkey() -> Iterator[Store]:
    """A Valkey with nothing in it, for as long as it is needed.

    :raises BenchmarkError: there is none, or it does not start.
    """
    try:
        from tests.servers.valkey import Valkey
    except ImportError as error:
        raise BenchmarkError(f"{error}: pip install -e '.[bench]'") from None
    with tempfile.TemporaryDirectory(prefix="bench-valkey-") as folder:
        # It inherits the core of whoever starts it.
        usable = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {cores()[0]})
        try:
            server = Valkey(Path(folder)).start()
        except AssertionError as error:
            raise BenchmarkError(f"Valkey did not start: {error}") from None
        finally:
            os.sched_setaffinity(0, usable)
        try:
            yield Store(server.url, int(server.info("server")["process_id"]))
        finally:
            server.kill()
