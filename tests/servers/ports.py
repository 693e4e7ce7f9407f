"""TCP ports that servers under test may have for themselves.

What lives here: `free_port`. What must not: servers.

Tests run in several processes at a time, and a server listens some time after its port was chosen.
So a port belongs to the process that asked for it until that ends: a lock says so to the others.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

#: Below the kernel's own (net.ipv4.ip_local_port_range, from 32768 on as it comes): until the
#: server listens, one of those may have become the near end of somebody's connection.
_PORTS = (12_000, 32_000)
#: Not the module's functions: Hypothesis seeds those, alike in every process.
_random = random.SystemRandom()
_ours: set[int] = set()


def free_port(host: str = "127.0.0.1") -> int:
    """A port of an address of this machine on which nobody listens, or is about to."""
    while True:
        port = _random.randrange(*_PORTS)
        if port in _ours or not _reserve(port):
            continue
        _ours.add(port)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port


def _reserve(port: int) -> bool:
    """Lock one byte of a file that all processes share. The lock ends with this process."""
    try:
        fcntl.lockf(_lock_file(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _lock_file() -> int:
    """Opened once in each process: closing it would give up all of its locks."""
    owner = _opened.get(os.getpid())
    if owner is None:
        path = Path(tempfile.gettempdir()) / f"seaway-test-ports-{os.geteuid()}"
        owner = _opened[os.getpid()] = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    return owner


_opened: dict[int, int] = {}
