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
from typing import Any

from compliance.http2_cases import CASES, Case
from compliance.http2_frames import connect
from compliance.server import certificate, seaway

#: Seconds without a word after which the server is taken to say no more.
SILENCE = 2.0


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
            port = stack.enter_context(seaway(hello, **own))
        found = ((case, check(case, options.host, port, **how)) for case in chosen)
        wrong = [(case, fault) for case, fault in found if fault]
    for case, fault in wrong:
        sys.stdout.write(f"{case}: {fault}\n")
    sys.stdout.write(f"{len(chosen) - len(wrong)} of {len(chosen)} cases\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
