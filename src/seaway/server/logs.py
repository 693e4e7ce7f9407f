"""Logs: one line an event, for people (key=value) or for machines (JSON).

What lives here: the loggers, the two formats, and what an access log line says.
What must not: headers, cookies, query strings or bodies in any line: they hold secrets.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import Any

from seaway.server.config import ServerConfig

#: The server's own: start, stop, errors in applications.
server_log = logging.getLogger("seaway.server")
#: One line a request, and one a closed WebSocket; costs nothing unless ``access_log`` is on.
access_log = logging.getLogger("seaway.access")

#: The mark of an access log line that is whole as it is: see `access`.
COMBINED = "combined"

_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")


def log_event(
    logger: logging.Logger,
    level: int,
    event: str,
    error: BaseException | None = None,
    /,
    **fields: Any,
) -> None:
    """Log ``event`` with fields; ``error`` adds its traceback."""
    if not logger.isEnabledFor(level):
        return
    text = " ".join([event, *(f"{key}={_quote(value)}" for key, value in fields.items())])
    # The text is an argument, not the format: a percent sign in it means nothing.
    logger.log(level, "%s", text, exc_info=error, extra={"event": event, "fields": fields})


def _quote(value: Any) -> str:
    """Values with spaces, quotes or control characters are quoted, so a line stays one line."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _timestamp(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


class TextFormatter(logging.Formatter):
    """``2026-11-23T14:30:20.123Z INFO seaway.access GET /seats/ status=200 ...``"""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_timestamp(record)} {record.levelname} {record.name} {record.getMessage()}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


class JSONFormatter(logging.Formatter):
    """One JSON object a line; an error's traceback is its member ``traceback``."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": getattr(record, "event", None) or record.getMessage(),
        }
        entry.update(getattr(record, "fields", {}))
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class _Unmarked(logging.Filter):
    """Leaves the lines of a combined access log to their own handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not hasattr(record, COMBINED)


class _Marked(logging.Filter):
    """Lets nothing else pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        return hasattr(record, COMBINED)


def _configure_combined() -> None:
    """Send the access log to stdout: programs read it, and stdout has nothing else in it but the
    start block."""
    if not access_log.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.addFilter(_Marked())
        access_log.addHandler(handler)


def configure(config: ServerConfig) -> None:
    """Send Seaway's log to stderr, unless the application has given it handlers of its own.

    Called after the application is loaded: its LOGGING setting comes first, and may have disabled
    loggers that existed before it by the default of `logging.config`.
    """
    root = logging.getLogger("seaway")
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JSONFormatter() if config.log_format == "json" else TextFormatter())
        handler.addFilter(_Unmarked())
        root.addHandler(handler)
        if config.access_format == "combined":
            _configure_combined()
        root.propagate = False
    if root.level == logging.NOTSET:
        root.setLevel(config.level)
    for logger in (root, server_log, access_log):
        logger.disabled = False
