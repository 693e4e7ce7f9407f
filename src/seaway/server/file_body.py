"""Files as response bodies: ASGI's extension ``http.response.pathsend``.

What lives here: reading a file in parts off the loop, and having the kernel copy it to a socket.
What must not: responses.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import BinaryIO

from seaway.server.asgi_types import ClientDisconnected
from seaway.server.socket_end import SocketEnd

#: Large enough that a thread's turn costs little beside it, small enough to be held per response.
_PART = 256 * 1024


def open_file(path: Path) -> tuple[BinaryIO, int]:
    """The file and its size; for a thread. Raises OSError."""
    file = path.open("rb", buffering=0)
    return file, os.fstat(file.fileno()).st_size


async def read_file(file: BinaryIO, size: int) -> AsyncGenerator[tuple[bytes, bool], None]:
    """The file's parts, each with whether more follow; at least one. Raises OSError."""
    loop = asyncio.get_running_loop()
    left = size
    while True:
        part = await loop.run_in_executor(None, file.read, min(_PART, left)) or b""
        left -= len(part)
        # A file that shrinks meanwhile ends here; that it is too short is found by its length.
        more = left > 0 and part != b""
        yield part, more
        if not more:
            return


async def copy_file(
    end: SocketEnd, file: BinaryIO, size: int, copied: Callable[[int], None]
) -> None:
    """Copy ``size`` bytes of a file to a plain socket by sendfile(2), and tell how many at a time.

    Raises `ClientDisconnected`. Fewer bytes than ``size`` are copied if the file shrinks.
    """
    await _flush(end)
    # The loop lets nobody watch a transport's own descriptor.
    socket = os.dup(end.transport.get_extra_info("socket").fileno())
    try:
        offset = 0
        while offset < size:
            if end.closing:
                raise ClientDisconnected
            try:
                sent = os.sendfile(socket, file.fileno(), offset, min(size - offset, _PART))
            except BlockingIOError:
                await _wait(end, socket)
                continue
            if not sent:
                return
            offset += sent
            copied(sent)
            # The client may read as fast as this writes: others have their turn, too.
            await asyncio.sleep(0)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ClientDisconnected from error
    finally:
        os.close(socket)


async def _flush(end: SocketEnd) -> None:
    """Wait until the transport has nothing left to write, that is, until the head is out."""
    transport, context = end.transport, end.context
    transport.set_write_buffer_limits(0, 0)
    try:
        while transport.get_write_buffer_size() and not end.closing:
            if end.writable:
                await asyncio.sleep(0)
            else:
                await end.gate.wait(context.loop)
    finally:
        transport.set_write_buffer_limits(context.config.write_buffer, 0)


async def _wait(end: SocketEnd, socket: int) -> None:
    """Wait until the socket takes more, or is lost. The client has ``idle_timeout`` for it."""
    loop = end.context.loop
    end.pause_writing()
    loop.add_writer(socket, end.gate.open)
    try:
        await end.gate.wait(loop)
    finally:
        loop.remove_writer(socket)
        if not end.closing:
            end.resume_writing()
