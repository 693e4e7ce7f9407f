"""Where a topic is published to and asked about from anywhere: views, the shell, tasks.

What lives here: `TopicAddress`, and when its events go out relative to database transactions.
What must not: routes and connections; an address is a name and how much history it keeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from django.db import DEFAULT_DB_ALIAS, transaction

from seaway.conf import layer_home, seaway_settings
from seaway.exceptions import SyncCallInLoop
from seaway.layers.base import Headcount, History, Position, check_size
from seaway.topics.decoding import readable_members
from seaway.topics.encoding import encode_event
from seaway.topics.follow import Follower
from seaway.topics.transactions import in_atomic_block, leave_to, where_transactions_are


class TopicAddress(msgspec.Struct, frozen=True):
    """One topic by its name: ``SeatMap.at(event_id=7)`` makes one."""

    name: str
    history: History | None = None

    def publish(
        self, event: str, payload: object = None, *, using: str | None = None
    ) -> Position | None:
        """Publish one event to everybody who has joined.

        Inside an ``atomic`` block the event goes out when the transaction commits, and not at all
        when it is rolled back. The payload is encoded at once in either case: it is what it is now.

        On the database of ``LAYER = "django://…"`` the event is a part of the transaction; in one
        that ``OUTBOX`` names it is kept in a table until it is out; elsewhere it is published after
        the commit, by this process.

        :param using: the database whose transaction counts; the default one otherwise.
        :returns: the event's position; None when it waits for a commit.
        :raises UnencodablePayload: JSON cannot carry the payload; nothing is published.
        :raises PayloadTooLarge: it is over ``MAX_EVENT_BYTES``; nothing is published.
        :raises InvalidName: the event's name is not legal; nothing is published.
        :raises SyncCallInLoop: this thread's event loop is running; use `apublish`.
        :raises LayerUnavailable: the layer did not answer. After a commit it is raised to whoever
            left the atomic block, like an error of any ``on_commit`` callback.
        """
        forbid_running_loop("publish")
        data = _checked(event, payload)
        if _deferred(self, data, using):
            return None
        return _send(self, data)

    async def apublish(
        self, event: str, payload: object = None, *, using: str | None = None
    ) -> Position | None:
        """`publish` for asynchronous code: same parameters, results and errors."""
        data = _checked(event, payload)
        if await where_transactions_are(_deferred, self, data, using):
            return None
        return await layer_home().arun(lambda layer: layer.publish(self.name, data, self.history))

    def follow(self, since: Position | None = None) -> Follower:
        """The topic's events in code: ``async with address.follow() as follower``, then
        ``async for event in follower``.

        :param since: go on after this position; otherwise with what is published from now on.
        """
        return Follower(self.name, replayable=self.history is not None, since=since)

    def members(self) -> list[dict[str, Any]]:
        """Who is present, from every process: ``id`` and what the topic's ``member`` says."""
        forbid_running_loop("members")
        return _decoded(layer_home().run(lambda layer: layer.members(self.name)))

    async def amembers(self) -> list[dict[str, Any]]:
        """`members` for asynchronous code."""
        return _decoded(await layer_home().arun(lambda layer: layer.members(self.name)))

    def headcount(self) -> Headcount:
        """How many are present, from every process: ``members`` are connections, ``people`` counts
        several of one user once. As fast with 10,000 as with 10."""
        forbid_running_loop("headcount")
        return layer_home().run(lambda layer: layer.headcount(self.name))

    async def aheadcount(self) -> Headcount:
        """`headcount` for asynchronous code."""
        return await layer_home().arun(lambda layer: layer.headcount(self.name))


def _checked(event: str, payload: object) -> bytes:
    data = encode_event(event, payload)
    check_size(data, seaway_settings().MAX_EVENT_BYTES)
    return data


def _deferred(address: TopicAddress, data: bytes, using: str | None) -> bool:
    """Leave the event to the transaction that is open in this thread, if there is one."""
    alias = using or DEFAULT_DB_ALIAS
    if not in_atomic_block(alias):
        return False
    if not leave_to(alias, address.name, data, address.history):
        transaction.on_commit(lambda: _send(address, data), using=using)
    return True


def _send(address: TopicAddress, data: bytes) -> Position:
    return layer_home().run(lambda layer: layer.publish(address.name, data, address.history))


def _decoded(members: Mapping[str, bytes]) -> list[dict[str, Any]]:
    found = [(member, info) for member, info in members.items() if readable_members([info])]
    return [{"id": member, **msgspec.json.decode(info)} for member, info in found]


def forbid_running_loop(method: str, twin: str = "") -> None:
    """Before anything else: inside a transaction nothing would block yet, and the call would be
    right or wrong by the weather."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise SyncCallInLoop(
        f"{method}() would block the event loop that called it: "
        f"await {twin or f'a{method}'}() instead."
    )
