"""A proxy between browser and server that spoils what a test wants spoiled.

What lives here: a TCP relay in a thread that looks at the first bytes of requests.
What must not: knowledge of what is relayed beyond that.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from enum import Enum

from tests.demo.project import PATIENCE


class Upgrades(Enum):
    """What becomes of a request for a WebSocket."""

    PASS = "relayed"
    REFUSE = "answered with 400, as proxies do that know HTTP/1.0 only"
    KILL = "relayed, and closed soon after it was opened"


#: Seconds for which a socket lives that is to be killed: long enough for a welcome.
LIFE_SECONDS = 0.2
_REFUSAL = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Proxy:
    """Relays to ``port``; its attributes may be changed while it runs."""

    def __init__(self, port: int) -> None:
        self.upgrades = Upgrades.PASS
        #: Event streams are swallowed, as by proxies that wait for the end of a response.
        self.swallows_streams = False
        #: How many WebSockets were asked for.
        self.asked = 0
        self.port = 0
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._relays: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def cut(self) -> None:
        """Close every connection."""
        self._loop.call_soon_threadsafe(self._cut)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stopped = asyncio.Event()
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopped.wait()
        server.close()
        # Whoever was accepted just now has a relay some turns later. A relay ends by itself when
        # its client is gone; one that is cancelled while it connects would leave its socket open.
        for _ in range(20):
            await asyncio.sleep(0)
        while self._relays:
            self._cut()
            await asyncio.wait(list(self._relays), timeout=0.1)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        self._open.add(writer)
        try:
            with contextlib.suppress(OSError):
                await self._answer(reader, writer)
            with contextlib.suppress(OSError, TimeoutError):
                writer.close()
                await asyncio.wait_for(writer.wait_closed(), 1)
        finally:
            self._open.discard(writer)
            self._relays.discard(task)
            await _aborted(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(65536)
        lives: float | None = None
        if b"upgrade: websocket" in first.lower():
            self.asked += 1
            if self.upgrades is Upgrades.REFUSE:
                writer.write(_REFUSAL)
                await writer.drain()
                return
            if self.upgrades is Upgrades.KILL:
                lives = LIFE_SECONDS
        if first:
            await self._join(first, reader, writer, lives)

    async def _join(
        self,
        first: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        seconds: float | None,
    ) -> None:
        """Relay both ways until either side ends it, or the time is over."""
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        swallows = asyncio.Event()

        async def up() -> None:
            data = first
            while data:
                if self.swallows_streams and b"GET /seaway/sse" in data:
                    swallows.set()
                back.write(data)
                await back.drain()
                data = await reader.read(65536)

        async def down() -> None:
            while data := await there.read(65536):
                if not swallows.is_set():
                    writer.write(data)
                    await writer.drain()

        tasks = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await _aborted(back)


async def _aborted(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    # The transport closes its socket in the loop's next turn.
    await asyncio.sleep(0)


@contextlib.contextmanager
def spoiling(port: int) -> Iterator[Proxy]:
    """A proxy before a server's port."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.stop()
