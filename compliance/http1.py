"""Ask a running server all the cases of `http1_cases`, each on a connection of its own.

How to run, from the repository's root, with seaway installed::

    python -m compliance.http1                # starts Seaway itself
    python -m compliance.http1 --port 8000    # a server of `mirror`, below

One line for each case that fails; the exit status is 1 if there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import socket
import sys
from typing import Any

from compliance.http1_cases import CASES, END, Case
from compliance.server import seaway

#: Seconds without a word after which the server is taken to say no more.
SILENCE = 3.0
#: Behind each case, on the same connection: whether it is answered tells where the server thinks
#: that the case's requests end.
SENTINEL = b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

_WITHOUT_BODY = {"204", "304"}


async def mirror(scope: Any, receive: Any, send: Any) -> None:
    """Says what it was asked: method, path, and the body as it was received.

    ``/host`` says the Host header, ``/fields`` all headers that begin with ``x``,
    ``/status/204`` answers so, ``/early`` does not wait for the body.
    """
    path: str = scope["path"]
    body = b""
    while path != "/early":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    fields = scope["headers"]
    if path == "/host":
        body = b",".join(value for name, value in fields if name == b"host")
    elif path == "/fields":
        body = b";".join(name + b"=" + value for name, value in fields if name[:1] == b"x")
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    text = b"%b %b%b %b" % (scope["method"].encode(), scope["raw_path"], query, body)
    status = int(path.removeprefix("/status/")) if path.startswith("/status/") else 200
    if status != 200:
        text = b""
    headers = [] if status == 204 else [(b"content-length", b"%d" % len(text))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def converse(case: Case, host: str, port: int) -> tuple[tuple[str, ...], str]:
    """The answers, one word or line each, and "" or why this is not all: no end, not HTTP."""
    with socket.create_connection((host, port), SILENCE) as sock:
        received = b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(case.raw + (SENTINEL if case.sentinel else b""))
            if not case.sentinel:
                sock.shutdown(socket.SHUT_WR)
        try:
            while data := sock.recv(65536):
                received += data
        except TimeoutError:
            return (), f"no end; received {received[-300:]!r}"
        except ConnectionResetError:
            pass
        try:
            return responses(received, case), ""
        except (ValueError, KeyError) as error:
            return (), f"not HTTP: {error}; received {received[-300:]!r}"


def responses(received: bytes, case: Case) -> tuple[str, ...]:
    """For each response: its body if its status is 200, its status otherwise."""
    found: list[str] = []
    while received:
        head, mark, received = received.partition(b"\r\n\r\n")
        if not mark:
            raise ValueError(f"half a head: {head!r}")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        status = re.fullmatch(r"HTTP/1\.1 ([1-9][0-9][0-9]) [^\r\n]*", status_line)
        if status is None:
            raise ValueError(f"no status line: {status_line!r}")
        fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        code = status[1]
        body, received = _body(code, fields, received, head_only=not found and case.head_only)
        if code == "200":
            found.append("" if not found and case.head_only else body.decode("latin-1"))
        else:
            found.append(code)
    return tuple(found)


def _body(
    code: str, fields: dict[str, str], received: bytes, *, head_only: bool
) -> tuple[bytes, bytes]:
    if code[0] == "1" or code in _WITHOUT_BODY:
        if code != "304" and {"content-length", "transfer-encoding"} & set(fields):
            raise ValueError(f"{code} with framing: {fields}")
        return b"", received
    if head_only:
        return b"", received
    if fields.get("transfer-encoding") == "chunked":
        body = b""
        while True:
            size, _, received = received.partition(b"\r\n")
            count = int(size, 16)
            body, received = body + received[:count], received[count + 2 :]
            if not count:
                return body, received
    count = int(fields["content-length"])
    if len(received) < count:
        raise ValueError("a body that is not whole")
    return received[:count], received[count:]


def check(case: Case, host: str, port: int) -> str:
    """What is wrong, or ""."""
    found, fault = converse(case, host, port)
    if fault:
        return fault
    expected = [
        tuple(SENTINEL_ANSWER if each == END else each for each in outcome)
        for outcome in case.outcomes
    ]
    return "" if found in expected else f"{found}, not {' or '.join(map(str, expected))}"


SENTINEL_ANSWER = "GET /end "


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m compliance.http1")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="default: a server is started")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    options = parser.parse_args()
    chosen = [case for case in CASES if options.only in str(case)]
    with contextlib.nullcontext(options.port) if options.port else seaway(mirror) as port:
        found = [(case, check(case, options.host, port)) for case in chosen]
    wrong = [(case, fault) for case, fault in found if fault]
    for case, fault in wrong:
        sys.stdout.write(f"{case}: {fault}\n")
    sys.stdout.write(f"{len(chosen) - len(wrong)} of {len(chosen)} cases\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
