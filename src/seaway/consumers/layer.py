"""What a consumer needs of a channel layer.

What lives here: the interface, and a subscription that works with layers of other packages, too.
What must not: any layer (`seaway.layers`), what is done with a message (`run`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from seaway.exceptions import InvalidChannelLayerError

logger = logging.getLogger("seaway.consumers")

Message = dict[str, Any]
#: A message, or as bytes for `seaway.layers.channels.messages.decode_in_turn`.
Letter = Message | bytes
Put = Callable[[Any], None]


class ChannelLayer(Protocol):
    """The part of the Channels API that consumers use themselves.

    A layer may also have ``subscribe(channel, put)`` and ``unsubscribe(channel)``: it then calls
    ``put(message)`` on the event loop for each message of that channel of this process, and no task
    has to wait in ``receive`` for each connection. Seaway's own have ``subscribe_encoded``, too:
    one message to a group waits in thousands of mailboxes as the same bytes.
    """

    async def new_channel(self) -> str:
        """A channel name that belongs to this process alone."""

    async def receive(self, channel: str) -> Message:
        """Wait for the channel's next message."""

    async def group_add(self, group: str, channel: str) -> None:
        """Put a channel into a group."""

    async def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group; nothing if it is in there."""


class Subscription:
    """Brings the messages of one channel to ``put`` until it is ended."""

    __slots__ = ("_channel", "_layer", "_pump")

    def __init__(
        self, layer: Any, channel: str, put: Put, fail: Callable[[Exception], None]
    ) -> None:
        """:param fail: gets the exception that a foreign layer's ``receive`` has ended with."""
        self._layer = layer
        self._channel = channel
        self._pump: asyncio.Task[None] | None = None
        if hasattr(layer, "subscribe_encoded"):
            layer.subscribe_encoded(channel, put)
        elif hasattr(layer, "subscribe"):
            layer.subscribe(channel, put)
        else:
            loop = asyncio.get_running_loop()
            self._pump = loop.create_task(self._receive(put, fail))

    async def _receive(self, put: Put, fail: Callable[[Exception], None]) -> None:
        try:
            while True:
                put(await self._layer.receive(self._channel))
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends this consumer only
            fail(error)

    def end(self) -> None:
        """No more messages. Idempotent."""
        if self._pump is not None:
            self._pump.cancel()
        else:
            self._layer.unsubscribe(self._channel)


async def join(layer: Any, groups: tuple[str, ...], channel: str) -> None:
    """Put a channel into groups.

    :raises InvalidChannelLayerError: there is no layer, or one without groups.
    """
    if not hasattr(layer, "group_add"):
        raise InvalidChannelLayerError("BACKEND is unconfigured or doesn't support groups")
    for group in groups:
        await layer.group_add(group, channel)


async def leave(layer: Any, groups: tuple[str, ...], channel: str) -> None:
    """Take a channel out of groups, as far as the layer can be reached."""
    for group in groups:
        try:
            await layer.group_discard(group, channel)
        except Exception:
            logger.exception("a consumer could not leave the group %s", group)
