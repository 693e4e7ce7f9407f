"""Django's response as what ASGI sends: a head, and a body or the way to one.

What lives here: heads, the messages that let the server send a file by itself, and `StreamSender`.
What must not: threads, views, middleware.
"""

from __future__ import annotations

import asyncio
import os
from functools import lru_cache
from typing import Any

from django.http import FileResponse
from django.http.response import HttpResponseBase

from seaway.http.types import Headers, Message, Scope, Send

#: Statuses whose responses have no content (RFC 9110 sections 15.3.5 and 15.4.5).
WITHOUT_CONTENT = frozenset({204, 304})
#: Seconds without a first part after which the head goes out by itself: the client of an event
#: stream wants to know that it is connected. Until then an error can still become a 500.
HEAD_SECONDS = 0.05
PATHSEND = "http.response.pathsend"
ZEROCOPYSEND = "http.response.zerocopysend"


# Applications use few names, and use them again and again.
@lru_cache(1024)
def _name(name: str) -> bytes:
    return name.encode("ascii")


def head(response: HttpResponseBase) -> tuple[int, Headers]:
    """Status and header fields, cookies included."""
    # What items() yields, without a look-up by name for each.
    stored = response.headers._store.values()
    headers = [(_name(name), value.encode("latin-1")) for name, value in stored]
    if response.cookies:
        headers += [
            (b"Set-Cookie", morsel.OutputString().encode("latin-1"))
            for morsel in response.cookies.values()
        ]
    return response.status_code, headers


def has_content(response: HttpResponseBase, method: str) -> bool:
    """Whether a body follows the head."""
    return method != "HEAD" and response.status_code not in WITHOUT_CONTENT


def file_message(response: HttpResponseBase, scope: Scope) -> Message | None:
    """The message by which the server sends the response's file by itself.

    None where the response is no whole file, or the server has not offered it. Looks at the disk.
    """
    extensions = scope.get("extensions") or ()
    if not extensions or not isinstance(response, FileResponse):
        return None
    file: Any = response.file_to_stream
    try:
        descriptor, offset = file.fileno(), file.tell()
        known = os.fstat(descriptor)
        size = int(response.headers["Content-Length"])
        if offset + size > known.st_size:
            return None
        path = os.path.abspath(file.name) if isinstance(file.name, str) else ""  # noqa: PTH100
        whole = path and (offset, size) == (0, known.st_size)
        # What the name stands for now may be another file.
        if PATHSEND in extensions and whole and os.path.samestat(os.stat(path), known):  # noqa: PTH116
            return {"type": PATHSEND, "path": path}
        if ZEROCOPYSEND in extensions:
            return {"type": ZEROCOPYSEND, "file": descriptor, "offset": offset, "count": size}
    except (AttributeError, KeyError, OSError, ValueError):
        # No such method, no such header, no descriptor (io.UnsupportedOperation is an OSError).
        return None
    return None


class StreamSender:
    """Sends a head and, as they come, the parts of a body."""

    __slots__ = ("_flushing", "_send", "_timer")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head; it is flushed if no part comes soon."""
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._flush)

    async def part(self, data: bytes, *, more: bool = True) -> None:
        """Send a part, or the last one."""
        await self.stop()
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def stop(self) -> None:
        """Send no more by itself. To be called in any case, at the latest at the end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        flushing, self._flushing = self._flushing, None
        if flushing is not None:
            await flushing

    def _flush(self) -> None:
        self._timer = None
        message = {"type": "http.response.body", "body": b"", "more_body": True}
        self._flushing = asyncio.ensure_future(self._send(message))
