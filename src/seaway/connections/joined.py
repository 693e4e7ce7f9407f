"""One topic on one connection: its membership, its subscription, and its requests in order.

What lives here: what join, call and leave do. What must not: reading or writing the transport.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from seaway.dialects.base import Call, Join, Leave
from seaway.exceptions import LayerError, NotJoined, TopicError, Unavailable
from seaway.layers.base import Headcount, Position
from seaway.layers.stream import Subscription
from seaway.topics.membership import Membership

if TYPE_CHECKING:
    from seaway.connections.connection import Connection


class Snapshot(msgspec.Struct):
    """What a join has to tell: see ``joined`` in the wire protocol."""

    position: Position
    recovered: bool
    data: bytes
    present: Sequence[bytes] | Headcount | None


class JoinedTopic:
    """A topic that a connection has joined, or is joining.

    :ivar waiting: the requests not yet answered, the one under way first; None when idle.
    """

    __slots__ = ("connection", "membership", "name", "subscription", "waiting")

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.name = name
        self.membership: Membership | None = None
        self.subscription: Subscription | None = None
        self.waiting: deque[Join | Leave | Call] | None = None

    async def join(self, request: Join) -> Snapshot:
        """Subscribe, ask the topic, be counted as present: in this order, so that nothing that
        is published after the snapshot was made can be missed.

        :raises TopicError: refused; the connection is then not joined, whatever it was before.
        """
        try:
            return await self._join(request)
        except BaseException as error:
            await self.leave()
            if isinstance(error, LayerError):
                raise Unavailable("The layer cannot be reached; try again later.") from error
            raise

    async def _join(self, request: Join) -> Snapshot:
        connection, hub = self.connection, self.connection.registry.hub
        membership = self.membership
        if membership is None:
            membership = Membership.open(self.name, connection.visitor, connection.id)
        self.unsubscribe()
        subscription = await hub.subscribe(
            self.name,
            connection.sink,
            connection.encoding,
            replayable=membership.history is not None,
            counted=membership.presence == "count",
        )
        self.subscription = subscription
        data = await membership.join()
        self.membership = membership
        recovered = request.since is not None and await hub.recover(subscription, request.since)
        present: Sequence[bytes] | Headcount | None = None
        if membership.presence:
            await membership.enter(hub.layer)
            subscription.stale = False
            if membership.presence == "count":
                present = await hub.layer.headcount(self.name)
            else:
                present = list((await hub.layer.members(self.name)).values())
        return Snapshot(subscription.cursor, recovered, data, present)

    def activate(self) -> None:
        """Let events flow: called right after the answer to the join was written."""
        if self.subscription is not None:
            self.connection.registry.hub.activate(self.subscription)

    def redirect(self) -> None:
        """Let events flow to the connection's present sink: between `join` and `activate`, for a
        transport that opens its sink only once the join has succeeded."""
        if self.subscription is not None:
            self.subscription.redirect(self.connection.sink, self.connection.encoding)

    async def call(self, request: Call) -> bytes:
        """Run an action; JSON of what it returned. Raises `TopicError`."""
        if self.membership is None:
            raise NotJoined(f"Join {self.name} before you call its actions.")
        return await self.membership.call(request.action, request.args, request.key)

    async def leave(self) -> None:
        """Undo all that a join did. Idempotent; never raises."""
        self.unsubscribe()
        membership, self.membership = self.membership, None
        if membership is None:
            return
        if membership.presence:
            with contextlib.suppress(LayerError):  # unreachable: the lease ends without us
                await membership.depart(self.connection.registry.hub.layer)
        await membership.leave()

    def unsubscribe(self) -> None:
        """No more events from now on."""
        if self.subscription is not None:
            self.connection.registry.hub.unsubscribe(self.subscription)
            self.subscription = None

    async def handle(self, request: Join | Leave | Call) -> bytes:
        """The answer to one request, an error included, as a message of the dialect."""
        dialect = self.connection.dialect
        try:
            if isinstance(request, Call):
                return dialect.reply(request, await self.call(request))
            if isinstance(request, Join):
                answer = await self.join(request)
                return dialect.joined(
                    request, answer.position, answer.recovered, answer.data, answer.present
                )
            if self.membership is None:
                raise NotJoined(f"{self.name} is not joined.")
            await self.leave()
            return dialect.left(request)
        except TopicError as error:
            return dialect.error(request, error)
