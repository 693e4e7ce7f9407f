"""Ask a running server all the cases of `http2_cases`, each on a connection of its own.

How to run, from the repository's root, with seaway and hpack installed::

    python -m compliance.http2                # starts Seaway itself
    python -m compliance.http2 --port 8000    # any server in the clear, by prior knowledge
    python -m compliance.http2 --tls --port 8443         # any server, by ALPN
    python -m compliance.http2 --pace 5       # each frame by itself, so many milliseconds apart

One line for each case that fails; the exit status is 1 if there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from compliance.http2_cases import CASES, Case
from compliance.http2_frames import connect

#: Seconds without a word after which the server is taken to say no more.
SILENCE = 2.0

Application = Callable[[Any, Any, Any], Any]


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answers every request at once."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def check(case: Case, host: str, port: int, *, tls: bool = False, pace: float = 0.0) -> str:
    """What is wrong, or ""."""
    peer = connect(host, port, SILENCE, tls=tls)
    # A flood has to arrive faster than its allowance grows.
    peer.pace = 0.0 if "flood" in case.text or case.text == "rapid reset" else pace
    try:
        if case.greeted:
            peer.greet()
        case.run(peer)
    except AssertionError as error:
        return str(error)[:300] or "not as expected"
    finally:
        peer.hang_up()
    return ""


@contextlib.contextmanager
def certificate() -> Iterator[str]:
    """A file with a certificate for this machine alone, and its key."""
    import trustme

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "certificate.pem")
        trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(path)
        yield str(path)


@contextlib.contextmanager
def seaway(app: Application = hello, **options: Any) -> Iterator[int]:
    """Seaway in a thread, with ``options`` of `ServerConfig`; its port."""
    from seaway.server.application import Announcement
    from seaway.server.config import ServerConfig
    from seaway.server.run import Runner

    started = threading.Event()
    announced: list[Announcement] = []

    def announce(announcement: Announcement) -> None:
        announced.append(announcement)
        started.set()

    options = {"bind": ("127.0.0.1:0",), "lifespan": "off", "drain_timeout": 1.0, **options}
    runner = Runner(app, ServerConfig(**options), announce=announce)
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    if not started.wait(10):
        raise SystemExit("The server does not start.")
    try:
        yield int(announced[0].urls[0].rpartition(":")[2])
    finally:
        runner.stop()
        thread.join(10)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compliance.http2")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="default: a server is started")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--tls", action="store_true", help="HTTP/2 by ALPN")
    parser.add_argument("--pace", type=float, default=0, help="milliseconds between frames")
    options = parser.parse_args()
    chosen = [case for case in CASES if options.only in str(case)]
    how = {"tls": options.tls, "pace": options.pace / 1000}
    with contextlib.ExitStack() as stack:
        port = options.port
        if port is None:
            own = {"certfile": stack.enter_context(certificate())} if options.tls else {}
            port = stack.enter_context(seaway(**own))
        found = ((case, check(case, options.host, port, **how)) for case in chosen)
        wrong = [(case, fault) for case, fault in found if fault]
    for case, fault in wrong:
        sys.stdout.write(f"{case}: {fault}\n")
    sys.stdout.write(f"{len(chosen) - len(wrong)} of {len(chosen)} cases\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
