"""One handler at work: taking messages, running the function, settling what came of it.

What lives here: `Runner`. What must not: the process, its signals and its output (`worker`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Iterator, Sequence

import msgspec

from seaway.channels.channel import Channel
from seaway.channels.delivery import EXTENSIONS_PER_LEASE, clock, reason_of
from seaway.channels.delivery import Delivery as Handed
from seaway.channels.handlers import Handler
from seaway.channels.receiving import to_its_end
from seaway.exceptions import GiveUp, LayerError
from seaway.layers.base import Layer
from seaway.layers.queues import Delivery
from seaway.pool import refresh_connections
from seaway.pool.time_limit import run_limited, within
from seaway.workers.patience import LAYER_AWAY, patiently
from seaway.workers.taking import take

logger = logging.getLogger("seaway.workers")

#: Seconds that one request for messages waits at the layer.
WAIT = 20.0
#: Messages among the oldest ones of a channel that a worker with full hands looks at.
LOOK = 10


class Runner:
    """Works off one handler's messages, up to ``concurrency`` at a time.

    :param channels: where they come from, the preferred one first; the handler's own by default.
    :raises ConfigurationError: the handler's annotation cannot be used. Found out at the first
        message, it would cost each message its tries.
    """

    def __init__(
        self,
        layer: Layer,
        handler: Handler,
        *,
        concurrency: int | None = None,
        channels: Sequence[Channel] = (),
    ) -> None:
        self.handler = handler
        self._decode = handler.decode
        self.concurrency = concurrency or handler.concurrency
        self.channels = channels or (handler.channel,)
        self.handled = 0
        self.failed = 0
        self._layer = layer
        self._held: dict[asyncio.Task[None], Delivery] = {}
        self._taking: asyncio.Task[Sequence[Delivery]] | None = None
        self._stopping = False
        self._lease = min(channel.lease for channel in self.channels)

    async def run(self) -> None:
        """Take and handle until `stop`; returns when nothing is held any more."""
        keepers = [asyncio.create_task(self._keep())]
        if self.handler.tries is not None:
            keepers.append(asyncio.create_task(self._look()))
        try:
            while not self._stopping:
                if len(self._held) < self.concurrency:
                    await self._take()
                    continue
                await asyncio.wait(self._held, return_when=asyncio.FIRST_COMPLETED)
            if self._held:
                await asyncio.wait(self._held)
        finally:
            for keeper in keepers:
                keeper.cancel()

    def stop(self) -> None:
        """Take nothing more."""
        self._stopping = True
        if self._taking is not None:
            self._taking.cancel()

    def abandon(self) -> None:
        """Stop what is still running; its messages are given back."""
        for task in self._held:
            task.cancel()

    def say_what_is_left(self) -> None:
        """In the log, what does not even end when it is stopped."""
        for delivery in self._held.values():
            logger.warning(
                "%s cannot be stopped at message %s, waiting in C perhaps: it ends with the "
                "process, and the message goes to another worker",
                self.handler,
                delivery.id,
            )

    async def _take(self) -> None:
        free, asked_at = self.concurrency - len(self._held), clock()
        self._taking = asyncio.create_task(take(self._layer, self.channels, free, WAIT))
        try:
            found = await self._taking
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            return
        except LayerError as error:
            logger.warning("%s waits for the layer: %s", self.handler, error)
            await asyncio.sleep(LAYER_AWAY)
            return
        finally:
            self._taking = None
        for delivery in found:
            self._hold(delivery, asked_at)

    async def _look(self) -> None:
        """Look with all hands full, too, for what has had all its tries: to say so needs no free
        hand. As often as leases are extended: a death is told soon after the lease has run out, on
        a channel that is less urgent than another one that never is empty, too."""
        while not self._stopping:
            await asyncio.sleep(self._lease / EXTENSIONS_PER_LEASE)
            try:
                for channel in self.channels:
                    if len(self._held) >= self.concurrency and not self._stopping:
                        await to_its_end(self._take_spent(channel))
            except LayerError as error:
                logger.warning("%s waits for the layer: %s", self.handler, error)

    async def _take_spent(self, channel: Channel) -> None:
        """What has not had all its tries is put back unseen; one that was handed out before is
        among the oldest there are, and so is found."""
        asked_at = clock()
        for delivery in await take(self._layer, [channel], LOOK, 0.0):
            if delivery.attempt > (self.handler.tries or math.inf):
                self._hold(delivery, asked_at)
            else:
                await self._layer.release(delivery)

    def _hold(self, delivery: Delivery, asked_at: float) -> None:
        task = asyncio.create_task(self._handle(delivery, asked_at))
        self._held[task] = delivery
        task.add_done_callback(self._held.pop)

    async def _keep(self) -> None:
        """Extend the leases of everything in hand. A message that was lost meanwhile is handled to
        its end: whoever has it now cannot know how far we are."""
        while True:
            await asyncio.sleep(self._lease / EXTENSIONS_PER_LEASE)
            held = list(self._held.values())
            extensions = (self._layer.extend(delivery, self._lease) for delivery in held)
            for result in await asyncio.gather(*extensions, return_exceptions=True):
                if isinstance(result, LayerError):
                    logger.warning("%s cannot extend a lease: %s", self.handler, result)

    # One message ---------------------------------------------------------------------------------

    async def _handle(self, delivery: Delivery, asked_at: float) -> None:
        handler = self.handler
        try:
            value = self._decode(delivery.data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            logger.error("%s cannot take message %s: %s", handler, delivery.id, error)
            await self._settle(delivery, dead=True, reason=f"It does not fit: {error}")
            return
        handed = Handed(delivery, value, handler.channel.lease, asked_at)
        with self._told(delivery):
            if not await handed.still_held():
                # This process stood still with the message in its hands, or on its way to them.
                logger.warning("message %s is left to others: its lease ran out", delivery.id)
                return
        try:
            await self._call(value, handed)
        except GiveUp as error:
            logger.error("%s gave message %s up: %s", handler, delivery.id, error)
            await self._settle(delivery, dead=True, reason=str(error))
        except asyncio.CancelledError:
            await asyncio.shield(self._settle(delivery, reason="the worker was stopped"))
        except Exception as error:
            logger.exception("%s failed at message %s", handler, delivery.id)
            delay = handler.backoff.after(delivery.attempt)
            await self._settle(delivery, delay=delay, reason=reason_of(error))
        else:
            self.handled += 1
            with self._told(delivery):
                if not await patiently(
                    lambda: self._layer.ack(delivery), self._lease, f"message {delivery.id}"
                ):
                    logger.warning(
                        "message %s may be handled twice: its lease ran out", delivery.id
                    )

    async def _call(self, value: object, handed: Handed) -> None:
        handler = self.handler
        arguments = (value, handed) if handler.takes_delivery else (value,)
        if not handler.asynchronous:
            await run_limited(handler.function, *arguments, seconds=handler.timeout)
            return
        await refresh_connections()
        await within(handler.function(*arguments), handler.timeout)

    async def _settle(
        self, delivery: Delivery, *, delay: float = 0.0, dead: bool = False, reason: str
    ) -> None:
        self.failed += 1
        with self._told(delivery):
            await patiently(
                lambda: self._layer.nack(delivery, delay=delay, dead=dead, reason=reason),
                self._lease,
                f"message {delivery.id}",
            )

    @contextlib.contextmanager
    def _told(self, delivery: Delivery) -> Iterator[None]:
        """A message that cannot be settled comes back by its lease."""
        try:
            yield
        except LayerError as error:
            logger.warning("message %s could not be settled: %s", delivery.id, error)
