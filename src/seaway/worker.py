"""Work that consumers do for channels instead of connections.

What lives here: `Worker`, which ``manage.py runworker`` runs.
What must not: a queue; the channel layer is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from typing import Any

from seaway.consumers.work import settle

logger = logging.getLogger("seaway.worker")


class Worker:
    """Gives the messages of some channels to one application each, in order.

    :param application: called once for each channel, with the scope
        ``{"type": "channel", "channel": name}``; mostly a `ChannelNameRouter`.
    :param channels: channel names.
    :param channel_layer: a layer of the Channels API.
    """

    def __init__(self, application: Any, channels: Sequence[str], channel_layer: Any) -> None:
        self.application = application
        self.channels = channels
        self.channel_layer = channel_layer

    def run(self) -> None:
        """`serve` in an event loop of its own."""
        asyncio.run(self.serve())

    async def serve(self) -> None:
        """Work until cancelled, or until an application fails.

        :raises Exception: what an application has failed with; the others are cancelled.
        """
        async with asyncio.TaskGroup() as group:
            for channel in self.channels:
                group.create_task(self._serve_channel(channel))

    async def serve_until_stopped(self, grace: float) -> None:
        """`serve` until SIGTERM or Ctrl-C; then what is being handled gets ``grace`` seconds."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(self.serve())
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows
                loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await settle(grace)

    async def _serve_channel(self, channel: str) -> None:
        async def receive() -> Any:
            return await self.channel_layer.receive(channel)

        async def send(message: Any) -> None:
            raise ValueError(
                f"A consumer of channel {channel!r} has sent {message.get('type')!r}: "
                "there is nobody at the other end of a channel."
            )

        while True:
            await self.application({"type": "channel", "channel": channel}, receive, send)
            logger.info("the consumer of channel %s has stopped; another follows", channel)
