"""Plain channels: queues of the layer, from which a process takes one message at a time.

What lives here: `Taker`, which takes for all receivers of one channel in this process, and
`ProxyQueue`, which puts messages to a group into a channel that is its member.
What must not: names, encodings, capacities; the node has them.

A message is taken out of the queue for good in the moment in which a receiver has it: a receiver
that is cancelled, and a process that dies, leave it to others.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from seaway.exceptions import ChannelFull, LayerError, LayerUnavailable
from seaway.layers.base import Layer
from seaway.layers.channels.inbox import Inbox, running_loop
from seaway.layers.channels.local import Tally
from seaway.layers.queues import Delivery

logger = logging.getLogger("seaway.channels")

#: Seconds for which a message is held that a receiver is about to have.
LEASE = 60.0
#: A receiver that was cancelled has not tried: no message dies of that.
TRIES = 1_000_000
#: Seconds that a taker goes on after its last receiver: most come back at once for the next.
LINGER_SECONDS = 0.25
#: Seconds between attempts while the engine does not answer.
RETRY_SECONDS = 0.5


class Taker:
    """Takes from one queue while anybody in this process waits for it.

    :param loop: the layer's.
    :param queue: its name at the layer.
    :param spawn: runs a coroutine in the background, on the layer's loop.
    """

    def __init__(
        self,
        layer: Layer,
        loop: asyncio.AbstractEventLoop,
        queue: str,
        tally: Tally,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._layer = layer
        self._queue = queue
        self._tally = tally
        self._spawn = spawn
        self._loop = loop
        self._lock = threading.Lock()
        self._inbox = Inbox[Delivery](queue, 1, threading.Lock())
        self._receivers = 0
        self._taken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def receive(self) -> bytes:
        """The next message, from any loop."""
        with self._lock:
            self._receivers += 1
        self._post(self._ensure)
        lingers = 0.0
        try:
            delivery = await self._inbox.get()
            lingers = LINGER_SECONDS
        finally:
            with self._lock:
                self._receivers -= 1
            self._post(self._left, lingers)
        self._post(self._claimed, delivery)
        return delivery.data

    def end(self, error: Exception) -> None:
        """Let all receivers raise ``error``."""
        self._inbox.end(error)

    # On the layer's loop -------------------------------------------------------------------------

    def _post(self, call: Callable[..., None], *args: Any) -> None:
        if running_loop() is self._loop:
            call(*args)
            return
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            raise LayerUnavailable("The layer was closed meanwhile.") from None

    def _ensure(self) -> None:
        if self._task is None:
            self._task = self._spawn(self._take())

    def _left(self, lingers: float) -> None:
        if not self._receivers:
            self._loop.call_later(lingers, self._stop_if_unused)

    def _stop_if_unused(self) -> None:
        if not self._receivers and self._task is not None:
            self._task.cancel()

    def _claimed(self, delivery: Delivery) -> None:
        self._taken.set()
        self._spawn(self._acknowledge(delivery))

    async def _take(self) -> None:
        try:
            while True:
                for delivery in await self._next():
                    self._taken.clear()
                    self._inbox.offer(delivery, math.inf)
                    await self._taken.wait()
        finally:
            self._task = None
            for delivery in self._inbox.take_all():
                self._spawn(self._give_back(delivery))
            if self._receivers:
                self._ensure()  # one came while this one was being stopped

    async def _next(self) -> list[Delivery]:
        try:
            return list(
                await self._layer.receive(self._queue, wait=math.inf, lease=LEASE, tries=TRIES)
            )
        except LayerError as error:
            logger.warning("cannot receive from %s: %s", self._queue, error)
            await asyncio.sleep(RETRY_SECONDS)
            return []

    async def _acknowledge(self, delivery: Delivery) -> None:
        try:
            if await self._layer.ack(delivery):
                return
        except LayerError:
            pass
        self._tally.lost("acks_lost", self._queue)

    async def _give_back(self, delivery: Delivery) -> None:
        try:
            await self._layer.nack(delivery)
        except LayerError as error:
            logger.warning("a message of %s comes back only after %d s: %s", self._queue, LEASE,
                           error)  # fmt: skip


class ProxyQueue:
    """Puts the messages to one group into one plain channel that is its member, in order.

    Every process that added the channel does so; the engine drops what it has seen (``once``).
    """

    def __init__(
        self,
        group: str,
        put: Callable[[bytes, str], Coroutine[Any, Any, None]],
        patience: float,
        tally: Tally,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self._group = group
        self._put = put
        self._patience = patience
        self._tally = tally
        self._spawn = spawn
        self._waiting: deque[tuple[float, str, bytes]] = deque()
        self._task: asyncio.Task[None] | None = None

    def __call__(self, epoch: str, offset: int, data: bytes) -> None:
        self._waiting.append((time.monotonic(), f"{self._group}@{epoch}.{offset}", data))
        if self._task is None:
            self._task = self._spawn(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting:
                since, once, data = self._waiting.popleft()
                await self._insist(since, once, data)
        finally:
            self._task = None

    async def _insist(self, since: float, once: str, data: bytes) -> None:
        while True:
            try:
                await self._put(data, once)
            except ChannelFull as error:
                self._tally.lost("dropped_full", f"group {self._group}: {error}")
            except LayerError as error:
                if time.monotonic() - since < self._patience:
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                self._tally.lost("undelivered", f"group {self._group}: {error}")
            return
