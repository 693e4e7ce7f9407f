"""A subscriber of an engine's soak: follows one topic, comes back, and keeps account.

What lives here: what docs/reference/protocol.md asks of a client, on a lean connection.
What must not: what should have been seen (`segments`).
"""

from __future__ import annotations

import asyncio
import contextlib
import random

import msgspec

from soak.lean import LeanClient
from soak.segments import Sightings
from soak.subscriber import delay

#: Seconds over which those who were told of a gap, or to come back, do so.
_SPREAD = 0.5


class _Data(msgspec.Struct):
    number: int = -1


class _Message(msgspec.Struct):
    type: str
    id: int = 0
    epoch: str = ""
    offset: int = 0
    recovered: bool = False
    data: _Data | None = None
    code: str = ""
    message: str = ""


_decode = msgspec.json.Decoder(_Message).decode


class Follower:
    """Follows one topic of a server until it is cancelled."""

    def __init__(self, host: str, port: int, topic: str) -> None:
        self.seen = Sightings()
        self.joined = asyncio.Event()
        self.refusals: list[str] = []
        self.connects = 0
        self._where = host, port
        self._topic = topic
        self._client: LeanClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._request = 0

    async def follow(self) -> None:
        attempt = 0
        while True:
            code, reason = await self._one_connection()
            attempt = 0 if self.joined.is_set() else attempt + 1
            self.joined.clear()
            await asyncio.sleep(min(3.0, delay(min(attempt, 3), code, reason)))

    async def _one_connection(self) -> tuple[int, str]:
        loop = asyncio.get_running_loop()
        try:
            _, client = await loop.create_connection(
                lambda: LeanClient("127.0.0.1", "/seaway/", self._on_text), *self._where
            )
        except OSError as error:
            return 1006, str(error)
        self._client = client
        self.connects += 1
        try:
            return await client.ended
        finally:
            client.close()

    def _on_text(self, text: bytes) -> None:
        message = _decode(text)
        if message.type == "event":
            assert message.data is not None  # noqa: S101 - the soak publishes nothing else
            self.seen.event(message.offset, message.data.number)
        elif message.type == "welcome":
            self._join()
        elif message.type == "joined" and message.id == self._request:
            self.seen.joined(message.epoch, message.offset, message.recovered)
            self.joined.set()
        elif message.type == "gap":
            self._later(afresh=True)
        elif message.type == "error":
            self.refusals.append(f"{message.code}: {message.message}")
            self._later(afresh=False)

    def _join(self, *, afresh: bool = False) -> None:
        self._request += 1
        request: dict[str, object] = {"type": "join", "id": self._request, "topic": self._topic}
        position = None if afresh else self.seen.position
        if position is not None:
            request["since"] = {"epoch": position[0], "offset": position[1]}
        if self._client is not None:
            self._client.send(msgspec.json.encode(request))

    def _later(self, *, afresh: bool) -> None:
        task = asyncio.get_running_loop().create_task(self._join_later(self._client, afresh))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join_later(self, client: LeanClient | None, afresh: bool) -> None:
        await asyncio.sleep(random.random() * _SPREAD)
        if client is self._client and client is not None and not client.ended.done():
            self._join(afresh=afresh)


async def cancel_all(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
