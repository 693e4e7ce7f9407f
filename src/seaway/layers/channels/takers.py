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
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from seaway.exceptions import ChannelFull, LayerError, LayerUnavailable
from seaway.layers.background import running_loop
from seaway.layers.base import Layer
from seaway.layers.channels.inbox import Inbox
from seaway.layers.channels.local import Tally
from seaway.layers.queues import Delivery

logger = logging.getLogger("seaway.channels")

#: Of what nobody may refuse.
CAPACITY = 2**31 - 1
#: Seconds for which a message is held that a receiver is about to have.
LEASE = 60.0
#: A receiver that was cancelled has not tried: no message dies of that.
TRIES = 1_000_000
#: Seconds that a taker goes on after its last receiver: most come back at once for the next.
LINGER_SECONDS = 0.25
#: Seconds between attempts while the engine does not answer.
RETRY_SECONDS = 0.5

_CLOSED = "The layer was closed meanwhile."


class _Held:
    """A delivery on its way to a receiver; ``gone``: it was taken out of the queue for good."""

    __slots__ = ("delivery", "gone")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.gone = False


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
        self._inbox = Inbox[_Held](queue, CAPACITY, threading.Lock())
        self._receivers = 0
        self._troubled = False
        self._taken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def receive(self) -> bytes:
        """The next message, from any loop."""
        with self._lock:
            self._receivers += 1
        lingers = 0.0
        try:
            self._post(self._ensure)
            held = await self._inbox.get()
            self._post(self._taken.set)
            try:
                await self._settle(held)
            except asyncio.CancelledError:
                held.gone = True
                self._inbox.give_back(held)
                raise
            lingers = LINGER_SECONDS
        finally:
            with self._lock:
                self._receivers -= 1
            self._post(self._left, lingers)
        return held.delivery.data

    def end(self, error: Exception) -> None:
        """Let all receivers raise ``error``."""
        self._inbox.end(error)

    async def _settle(self, held: _Held) -> None:
        """Take it out of the queue for good. Cancelled, that goes on."""
        if held.gone:
            return
        if running_loop() is self._loop:
            await asyncio.shield(self._spawn(self._acknowledge(held.delivery)))
            return
        work = self._acknowledge(held.delivery)
        try:
            handed_over = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise LayerUnavailable(_CLOSED) from None
        await asyncio.shield(asyncio.wrap_future(handed_over))

    # On the layer's loop -------------------------------------------------------------------------

    def _post(self, call: Callable[..., None], *args: Any) -> None:
        if running_loop() is self._loop:
            call(*args)
            return
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            raise LayerUnavailable(_CLOSED) from None

    def _ensure(self) -> None:
        if self._task is None:
            self._task = self._spawn(self._take())

    def _left(self, lingers: float) -> None:
        if not self._receivers:
            self._loop.call_later(lingers, self._stop_if_unused)

    def _stop_if_unused(self) -> None:
        if not self._receivers and self._task is not None:
            self._task.cancel()

    async def _take(self) -> None:
        try:
            while True:
                for delivery in await self._next():
                    self._taken.clear()
                    self._inbox.offer(_Held(delivery), math.inf)
                    await self._taken.wait()
        finally:
            self._task = None
            for held in self._inbox.take_all():
                self._spawn(self._give_back(held))
            if self._receivers:
                self._ensure()  # one came while this one was being stopped

    async def _next(self) -> Sequence[Delivery]:
        try:
            found = await self._layer.receive(self._queue, wait=math.inf, lease=LEASE, tries=TRIES)
        except LayerError as error:
            if not self._troubled:  # once per outage
                logger.warning("cannot receive from %s: %s", self._queue, error)
            self._troubled = True
            await asyncio.sleep(RETRY_SECONDS)
            return ()
        self._troubled = False
        return found

    async def _acknowledge(self, delivery: Delivery) -> None:
        try:
            if await self._layer.ack(delivery):
                return
        except LayerError as error:
            logger.debug("no receipt for a message of %s: %s", self._queue, error)
        self._tally.lost("acks_lost", self._queue)

    async def _give_back(self, held: _Held) -> None:
        """To the queue, for another process: at its old place, or else at the end."""
        delivery = held.delivery
        try:
            if held.gone:
                await self._layer.send(self._queue, delivery.data, capacity=CAPACITY)
            else:
                await self._layer.nack(delivery)
        except LayerError as error:
            self._tally.lost("undelivered", f"{self._queue}: {error}")


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
