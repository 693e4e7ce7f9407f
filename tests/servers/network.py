"""This machine's network devices, which some tests change and a browser cannot bear to see changed.

What lives here: who may change them, and who relies on them. What must not: the changes
(`namespace`).

Chromium gives up what it loads when a device or an address comes or goes (ERR_NETWORK_CHANGED), and
tests run side by side in several processes.
"""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def network_stays() -> Iterator[None]:
    """Nobody changes it meanwhile. Waits for who is about to."""
    with _locked(fcntl.LOCK_SH):
        yield


@contextmanager
def network_changes() -> Iterator[None]:
    """Nobody relies on it meanwhile. Waits for who does."""
    with _locked(fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(kind: int) -> Iterator[None]:
    path = Path(tempfile.gettempdir(), "seaway-network.lock")
    with path.open("a") as file:
        fcntl.flock(file, kind)  # until the file is closed, or its process has ended
        yield
