"""Seaway in a thread, for the commands that ask a server questions.

What lives here: starting and stopping it. What must not: questions, applications.
"""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def certificate() -> Iterator[str]:
    """A file with a certificate for this machine alone, and its key."""
    import trustme

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "certificate.pem")
        trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(path)
        yield str(path)


@contextlib.contextmanager
def seaway(app: Any, **options: Any) -> Iterator[int]:
    """Serve an ASGI application on the loopback; its port. ``options`` are `ServerConfig`'s."""
    from seaway.server.application import Announcement
    from seaway.server.config import ServerConfig
    from seaway.server.run import Runner

    started = threading.Event()
    announced: list[Announcement] = []

    def announce(announcement: Announcement) -> None:
        announced.append(announcement)
        started.set()

    config = ServerConfig(bind=("127.0.0.1:0",), lifespan="off", drain_timeout=1.0, **options)
    runner = Runner(app, config, announce=announce)
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    if not started.wait(10):
        raise SystemExit("The server does not start.")
    try:
        yield int(announced[0].urls[0].rpartition(":")[2])
    finally:
        runner.stop()
        thread.join(10)
