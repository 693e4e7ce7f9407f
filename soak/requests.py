"""The HTTP load: at a steady rate, over new and over kept connections.

What lives here: a client that keeps to RFC 9112 and counts each request that got no answer.
What must not: retries. A request on a kept connection that the server has closed at the same
moment counts as failed, although section 9.3.1 would let a client repeat it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from dataclasses import dataclass, field

#: Seconds for an answer. Only a lost request takes so long.
PATIENCE = 30.0
_LENGTH = re.compile(rb"^content-length: *(\d+)\r$", re.IGNORECASE | re.MULTILINE)
_CLOSE = re.compile(rb"^connection: *close\r$", re.IGNORECASE | re.MULTILINE)


@dataclass(slots=True)
class Tally:
    """What has become of the requests."""

    requests: int = 0
    failed: int = 0
    reasons: list[str] = field(default_factory=list)
    new_connections: int = 0
    #: Kept connections that the server closed between two requests, or with an answer.
    let_go: int = 0
    slowest: float = 0.0


class HttpClient:
    """One connection at a time.

    :param keep: whether it serves for many requests.
    """

    def __init__(self, port: int, tally: Tally, *, keep: bool) -> None:
        self._port = port
        self._tally = tally
        self._keep = keep
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, body: bytes = b"") -> bytes | None:
        """The response's body; None when the request has failed, which is counted."""
        tally, loop = self._tally, asyncio.get_running_loop()
        begun = loop.time()
        tally.requests += 1
        try:
            async with asyncio.timeout(PATIENCE):
                status, answer = await self._exchange(method, path, body)
            if status != 200:
                raise OSError(f"status {status}")
        except (OSError, EOFError, TimeoutError) as error:
            tally.failed += 1
            tally.reasons.append(f"{method} {path} keep={self._keep}: {error!r}")
            await self.close()
            return None
        tally.slowest = max(tally.slowest, loop.time() - begun)
        return answer

    async def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self._streams is not None and self._streams[0].at_eof():
            self._tally.let_go += 1
            await self.close()
        if self._streams is None:
            self._tally.new_connections += 1
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        connection = "keep-alive" if self._keep else "close"
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: soak\r\nConnection: {connection}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is None:
            raise OSError(f"no Content-Length in {head!r}")
        answer = await reader.readexactly(int(length[1]))
        if _CLOSE.search(head):
            self._tally.let_go += self._keep
            await self.close()
        return int(head[9:12]), answer

    async def close(self) -> None:
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def keep_asking(
    port: int, tally: Tally, *, keep: bool, pause: float, stop: asyncio.Event, versions: set[str]
) -> None:
    """Ask every ``pause`` seconds, more or less, until told to stop; now and then with a body."""
    client = HttpClient(port, tally, keep=keep)
    try:
        while not stop.is_set():
            await asyncio.sleep(random.uniform(0, 2 * pause))
            post = random.random() < 0.2
            method, body = ("POST", b"x" * 3000) if post else ("GET", b"")
            answer = await client.request(method, "/version", body)
            if answer is not None:
                versions.add(answer.split()[0].decode())
    finally:
        await client.close()
