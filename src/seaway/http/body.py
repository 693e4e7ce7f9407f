"""A request's body, whole, before Django sees the request: in memory, or on disk when it is large.

What lives here: `read_body`. What must not: what Django makes of it.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
from typing import IO

from django.conf import settings

from seaway.http.types import Receive

#: Bytes that are collected for one write to the disk: each costs a hop to a thread.
_BATCH = 512 * 1024


async def read_body(receive: Receive) -> IO[bytes] | None:
    """The body as a file at its start; None if the client has gone before its end.

    Up to ``FILE_UPLOAD_MAX_MEMORY_SIZE`` bytes are kept in memory. More go to a temporary file in
    ``FILE_UPLOAD_TEMP_DIR``, written in a thread: the loop never waits for the disk, and while the
    disk is slow, nothing more is read from the client.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        return None
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return io.BytesIO(body)
    return await _read_parts(body, receive)


async def _read_parts(first: bytes, receive: Receive) -> IO[bytes] | None:
    spool = _Spool(settings.FILE_UPLOAD_MAX_MEMORY_SIZE)
    part, more = first, True
    try:
        while True:
            await spool.write(part)
            if not more:
                return await spool.finish()
            message = await receive()
            if message["type"] == "http.disconnect":
                spool.close()
                return None
            part, more = message.get("body", b""), message.get("more_body", False)
    except BaseException:
        spool.close()
        raise


class _Spool:
    __slots__ = ("_file", "_limit", "_parts", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    async def write(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size > (self._limit if self._file is None else _BATCH):
            await self._flush()

    async def finish(self) -> IO[bytes]:
        if self._file is None:
            return io.BytesIO(b"".join(self._parts))
        await self._flush()
        self._file.seek(0)
        return self._file

    async def _flush(self) -> None:
        parts, self._parts, self._size = self._parts, [], 0
        # Not in the pool: an upload must not wait for slow views, nor they for the disk.
        await asyncio.to_thread(self._write, parts)

    def _write(self, parts: list[bytes]) -> None:
        if self._file is None:
            # Closed by the request, or by `close`.
            directory = settings.FILE_UPLOAD_TEMP_DIR
            self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115
        self._file.writelines(parts)
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
