"""The access log: one line a request, and one a closed WebSocket.

What lives here: what such a line says, as fields (written as key=value or JSON, like every line) or
in the form of Apache's ``combined`` log.
What must not: query strings, in either form, the Referer's included: they hold secrets.
"""

from __future__ import annotations

import logging
import re
import time

from seaway.protocol.events import RequestReceived
from seaway.server.context import Context
from seaway.server.logs import COMBINED, access_log, log_event
from seaway.server.scope_types import Peer

#: Apache's mod_log_config: quotes, backslashes and control characters are escaped.
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f-\xff]')


def wanted(context: Context, request: RequestReceived) -> bool:
    """Whether there is to be a line: not without the option, nor for a health check."""
    config = context.config
    if not config.access_log or not access_log.isEnabledFor(logging.INFO):
        return False
    return not config.health_path or path_of(request) != config.health_path


def path_of(request: RequestReceived) -> str:
    """The target without its query string."""
    return request.target.partition(b"?")[0].decode("latin-1")


def client_of(context: Context, request: RequestReceived, client: Peer) -> str:
    """Who has asked, by a trusted proxy's word if there is one."""
    if context.forwarded is not None:
        client, _ = context.forwarded.resolve(request.headers, client, False)
    return client[0] if client else "unix"


def log_request(
    context: Context, request: RequestReceived, client: Peer, status: int, size: int, elapsed: float
) -> None:
    """One answered request.

    :param size: bytes written; ``elapsed``: seconds.
    """
    host = client_of(context, request, client)
    if context.config.access_format == "combined":
        _log_combined(request, host, status, size)
        return
    log_event(
        access_log,
        logging.INFO,
        "request",
        method=request.method,
        path=path_of(request),
        status=status,
        bytes=size,
        ms=round(elapsed * 1000, 1),
        client=host,
    )


def log_refusal(context: Context, request: RequestReceived, client: Peer, status: int) -> None:
    """A WebSocket handshake that was answered with something else than a WebSocket."""
    host = client_of(context, request, client)
    if context.config.access_format == "combined":
        _log_combined(request, host, status, 0)
        return
    path = path_of(request)
    log_event(access_log, logging.INFO, "websocket_refused", path=path, status=status, client=host)


def log_websocket(context: Context, path: str, host: str, code: int, seconds: float) -> None:
    """A closed WebSocket."""
    if context.config.access_format == "combined":
        # There is no place for a close code in it; the handshake's status says what it was.
        stamp = _stamp(time.time() - seconds)
        _write(f'{host} - - [{stamp}] "GET {_escaped(path)} HTTP/1.1" 101 0 "-" "-"')
        return
    log_event(
        access_log,
        logging.INFO,
        "websocket",
        path=path,
        code=code,
        seconds=round(seconds, 1),
        client=host,
    )


# Apache's combined log format: %h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-agent}i" ------------


def _log_combined(request: RequestReceived, host: str, status: int, size: int) -> None:
    line = f"{request.method} {path_of(request)} HTTP/{request.version}"
    referer = _header(request, b"referer").partition("?")[0]
    agent = _header(request, b"user-agent")
    _write(
        f'{host} - - [{_stamp(time.time())}] "{_escaped(line)}" {status} {size or "-"} '
        f'"{_escaped(referer) or "-"}" "{_escaped(agent) or "-"}"'
    )


def _header(request: RequestReceived, name: bytes) -> str:
    return next((v.decode("latin-1") for key, v in request.headers if key == name), "")


def _escaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


#: Not strftime's %b: that speaks the locale's language.
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def _stamp(seconds: float) -> str:
    at = time.gmtime(seconds)
    return time.strftime(f"%d/{_MONTHS[at.tm_mon - 1]}/%Y:%H:%M:%S +0000", at)


def _write(line: str) -> None:
    access_log.info("%s", line, extra={COMBINED: True})
