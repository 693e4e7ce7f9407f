"""Work that consumers do for channels instead of connections.

What lives here: `Worker`, which ``manage.py runworker`` runs.
What must not: a queue; the channel layer is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Sequence
from typing import Any

from seaway.exceptions import StopConsumer

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
        self._stopped = asyncio.Event()

    def run(self) -> None:
        """`serve` in an event loop of its own."""
        asyncio.run(self.serve())

    async def serve(self) -> None:
        """Work until `stop`, until cancelled, or until an application fails.

        :raises Exception: what an application has failed with; the others are cancelled.
        """
        async with asyncio.TaskGroup() as group:
            for channel in self.channels:
                group.create_task(self._serve_channel(channel))

    async def serve_until_stopped(
        self, grace: float, ready: Callable[[], object] = lambda: None
    ) -> None:
        """`serve` until SIGTERM or Ctrl-C; then what is being handled gets ``grace`` seconds.

        :param ready: called once signals are heard.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows
                loop.add_signal_handler(number, self.stop)
        ready()
        serving = loop.create_task(self.serve())
        stopped = loop.create_task(self._stopped.wait())
        await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await asyncio.wait({serving}, timeout=grace)
        if not serving.done():
            logger.warning("cancelled consumers that did not end within %s s", grace)
            serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    def stop(self) -> None:
        """Take nothing more; `serve` returns once what is being handled has been. On its loop."""
        self._stopped.set()

    async def _serve_channel(self, channel: str) -> None:
        async def receive() -> Any:
            return await self._next(channel)

        async def send(message: Any) -> None:
            raise ValueError(
                f"A consumer of channel {channel!r} has sent {message.get('type')!r}: "
                "there is nobody at the other end of a channel."
            )

        scope = {"type": "channel", "channel": channel}
        with contextlib.suppress(StopConsumer):
            while not self._stopped.is_set():
                await self.application(dict(scope), receive, send)
                logger.info("the consumer of channel %s has stopped; another follows", channel)

    async def _next(self, channel: str) -> Any:
        """The channel's next message.

        :raises StopConsumer: the worker stops.
        """
        if self._stopped.is_set():
            raise StopConsumer
        loop = asyncio.get_running_loop()
        message = loop.create_task(self.channel_layer.receive(channel))
        stopped = loop.create_task(self._stopped.wait())
        try:
            await asyncio.wait({message, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if message.done():
                return message.result()
            raise StopConsumer
        finally:
            message.cancel()
            stopped.cancel()
