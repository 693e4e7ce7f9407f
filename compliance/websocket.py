"""Ask a running server all the cases of `websocket_cases` and `websocket_deflate_cases`.

How to run, from the repository's root, with seaway installed::

    python -m compliance.websocket                # starts Seaway itself
    python -m compliance.websocket --port 8000    # any server in the clear

The server has to answer each message with the same message, as `echo` below does, and to take
messages of 16 MiB, or of what ``--largest`` says::

    seaway serve compliance.websocket:echo --max-message-bytes 16777216
    uvicorn compliance.websocket:echo

One line for each case that fails, or in which the server does what it may but should not
(non-strict); the exit status is 1 if there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Any

from compliance import websocket_cases, websocket_deflate_cases
from compliance.server import seaway
from compliance.websocket_cases import Case, Lenient
from compliance.websocket_peer import connect

#: Seconds without a word after which the server is taken to say no more.
SILENCE = 2.0
LARGEST = 16 << 20
NON_STRICT = "non-strict"
CASES = (*websocket_cases.CASES, *websocket_deflate_cases.CASES)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers each message with the same, and each HTTP request with 404."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"only WebSockets"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})


def check(case: Case, host: str, port: int) -> str:
    """What is wrong, or "". What is allowed, if not well done, begins with `NON_STRICT`."""
    try:
        peer = connect(host, port, SILENCE)
    except OSError as error:
        return f"cannot connect: {error}"
    try:
        if case.upgraded:
            peer.upgrade(case.offer)
        case.run(peer)
    except Lenient as error:
        return f"{NON_STRICT}: {error}"
    except AssertionError as error:
        return str(error)[:300] or "not as expected"
    finally:
        peer.hang_up()
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compliance.websocket")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="default: a server is started")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--largest", type=int, default=LARGEST, help="bytes of a message")
    options = parser.parse_args()
    chosen = [case for case in CASES if options.only in str(case) and case.size <= options.largest]
    server = seaway(echo, max_message_bytes=LARGEST)
    with contextlib.nullcontext(options.port) if options.port else server as port:
        wrong = [(case, found) for case in chosen if (found := check(case, options.host, port))]
    for case, found in wrong:
        sys.stdout.write(f"{case}: {found}\n")
    lenient = sum(found.startswith(NON_STRICT) for _, found in wrong)
    passed = len(chosen) - len(wrong)
    sys.stdout.write(f"{passed} of {len(chosen)} cases strictly, {lenient} non-strict\n")
    return 1 if wrong or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
