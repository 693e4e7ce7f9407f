"""Files as response bodies: ASGI's extension ``http.response.pathsend``.

What lives here: reading a file in parts, off the loop.
What must not: responses.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import BinaryIO

#: Large enough that a thread's turn costs little beside it, small enough to be held per response.
_PART = 256 * 1024


async def file_parts(path: Path) -> AsyncGenerator[tuple[bytes, bool], None]:
    """The file's parts, each with whether more follow; at least one. Raises OSError."""
    loop = asyncio.get_running_loop()
    file, left = await loop.run_in_executor(None, _open, path)
    try:
        while True:
            part = await loop.run_in_executor(None, file.read, min(_PART, left)) or b""
            left -= len(part)
            # A file that shrinks meanwhile ends here; that it is too short is found by its length.
            more = left > 0 and part != b""
            yield part, more
            if not more:
                return
    finally:
        file.close()


def _open(path: Path) -> tuple[BinaryIO, int]:
    file = path.open("rb", buffering=0)
    return file, os.fstat(file.fileno()).st_size
