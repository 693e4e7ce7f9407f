"""A subscriber: one client that does what docs/reference/protocol.md says, and keeps account.

What lives here: joining, following, reconnecting with the position, and what was seen.
What must not: what should have been seen (`reload`).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from dataclasses import dataclass, field
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from seaway.exceptions import reconnects_after

#: The protocol's "Closing": seconds.
_FIRST, _LONGEST = 0.5, 30.0
_RESTART_WINDOW, _TRY_AGAIN = 5.0, 10.0
_GAP = 0.3
#: "Staying alive": seconds beyond the silence after which a ping is sent.
_GIVE_UP = 10.0
#: Seconds for which a connection must have held to count as one again.
_STEADY = 5.0
_SERVICE_RESTART, _TRY_AGAIN_LATER, _ABNORMAL = 1012, 1013, 1006

Position = tuple[str, int]


class Refused(Exception):
    """The server has closed for good, or refused the join."""


@dataclass(slots=True)
class Account:
    """What a subscriber has seen."""

    started: Position | None = None
    #: Offset to the event's data, of the epoch of ``started``.
    events: dict[int, Any] = field(default_factory=dict)
    duplicated: int = 0
    reordered: int = 0
    gaps: int = 0
    #: Offsets that the server has said are gone.
    excused: set[int] = field(default_factory=set)
    connects: int = 0
    failed_connects: int = 0
    #: Seconds from a loss to the next answered join.
    away: list[float] = field(default_factory=list)
    closes: dict[int, int] = field(default_factory=dict)


class Subscriber:
    """Follows one topic until it is cancelled."""

    def __init__(self, url: str, topic: str) -> None:
        self.account = Account()
        self.joined = asyncio.Event()
        self._url = url
        self._topic = topic
        self._position: Position | None = None
        self._request = 0
        self._lost_at = 0.0

    @property
    def offset(self) -> int:
        """The last event that was handled."""
        return self._position[1] if self._position else 0

    async def follow(self) -> None:
        attempt = 0
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            code, reason = await self._one_connection()
            self._lost_at = loop.time()
            self.account.closes[code] = self.account.closes.get(code, 0) + 1
            if not reconnects_after(code):
                raise Refused(f"closed with {code} {reason}")
            if loop.time() - begun >= _STEADY:
                attempt = 0
            await asyncio.sleep(delay(attempt, code, reason))
            attempt += 1

    async def _one_connection(self) -> tuple[int, str]:
        """Connect, join, read until the connection ends; how it has ended."""
        try:
            async with connect(
                self._url,
                subprotocols=["seaway.v1"],  # type: ignore[list-item]  # their NewType of str
                compression=None,
                ping_interval=None,
                max_queue=None,
                proxy=None,
            ) as connection:
                self.account.connects += 1
                await self._converse(connection)
        except ConnectionClosed as closed:
            received = closed.rcvd
            return (received.code, received.reason) if received else (_ABNORMAL, "")
        except (OSError, InvalidHandshake, EOFError) as error:
            self.account.failed_connects += 1
            return _ABNORMAL, str(error)
        return _ABNORMAL, "silence"

    async def _converse(self, connection: ClientConnection) -> None:
        silence = 25.0
        pinged = False
        while True:
            try:
                async with asyncio.timeout(_GIVE_UP if pinged else silence):
                    message = msgspec.json.decode(await connection.recv())
            except TimeoutError:
                if pinged:
                    return
                await connection.send('{"type":"ping"}')
                pinged = True
                continue
            pinged = False
            kind = message["type"]
            if kind == "welcome":
                silence = message["ping"] / 1000
                await self._join(connection)
            elif kind == "joined" and message["id"] == self._request:
                self._on_joined(message)
            elif kind == "event":
                self._on_event(message)
            elif kind == "gap":
                await self._rejoin(connection)
            elif kind == "error":
                if message["code"] != "unavailable":
                    raise Refused(message["message"])
                await self._rejoin(connection, keep=True)

    async def _join(self, connection: ClientConnection) -> None:
        self._request += 1
        request: dict[str, Any] = {"type": "join", "id": self._request, "topic": self._topic}
        if self._position is not None:
            request["since"] = {"epoch": self._position[0], "offset": self._position[1]}
        await connection.send(msgspec.json.encode(request).decode())

    async def _rejoin(self, connection: ClientConnection, *, keep: bool = False) -> None:
        if not keep:
            self.account.gaps += 1
            self._position = None
        await asyncio.sleep(random.random() * _GAP)
        await self._join(connection)

    def _on_joined(self, message: dict[str, Any]) -> None:
        account, position = self.account, (message["epoch"], message["offset"])
        if self._lost_at:
            account.away.append(asyncio.get_running_loop().time() - self._lost_at)
            self._lost_at = 0.0
        if account.started is None:
            account.started = position
        elif not message["recovered"]:
            # Told: what lies between has been missed.
            account.gaps += 1
            last = max(account.events, default=account.started[1])
            account.excused.update(range(last + 1, position[1] + 1))
        if message["recovered"] and position != self._position:
            account.reordered += 1
        self._position = position
        self.joined.set()

    def _on_event(self, message: dict[str, Any]) -> None:
        account, offset = self.account, message["offset"]
        assert self._position is not None  # noqa: S101 - events follow a join
        if offset in account.events or offset <= self._position[1]:
            account.duplicated += 1
            return
        if offset != self._position[1] + 1:
            account.reordered += 1
        account.events[offset] = message["data"]
        self._position = (self._position[0], offset)


def delay(attempt: int, code: int, reason: str) -> float:
    """Seconds to wait before reconnecting: the protocol's "Closing"."""
    usual = min(_LONGEST, _FIRST * 2.0**attempt)
    if code == _SERVICE_RESTART:
        within = re.search(r"; within=(\d{1,7})$", reason)
        usual = max(usual, int(within[1]) / 1000 if within else _RESTART_WINDOW)
    floor = _TRY_AGAIN if code == _TRY_AGAIN_LATER else 0.0
    return floor + random.random() * usual


async def cancelled(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for their end; errors that they had are raised."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task
