"""One value in a receiver's hands: acknowledging it, giving it back, holding it longer.

What lives here: `Delivery`, and the extension of its lease while a block of code works on it.
What must not: receiving.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import msgspec

from seaway.conf import layer_home
from seaway.exceptions import LayerError
from seaway.layers import queues
from seaway.layers.house import Operation

logger = logging.getLogger("seaway.channels")

#: A lease is extended this often before it ends, so that one lost extension does no harm.
EXTENSIONS_PER_LEASE = 3


class Delivery:
    """Made by `Channel.receive` and `Channel.take`.

    :ivar value: what was sent, decoded from JSON.
    """

    __slots__ = ("_keeper", "_lease", "_raw", "value")

    def __init__(self, raw: queues.Delivery, value: Any, lease: float) -> None:
        self.value = value
        self._raw = raw
        self._lease = lease
        self._keeper: asyncio.Task[None] | threading.Event | None = None

    @property
    def id(self) -> str:
        """The message's, the same at every delivery."""
        return self._raw.id

    @property
    def attempt(self) -> int:
        """Counts the message's deliveries from 1."""
        return self._raw.attempt

    @property
    def channel(self) -> str:
        """The channel's name."""
        return self._raw.channel

    def __repr__(self) -> str:
        return f"<Delivery {self.id} of {self.channel}, attempt {self.attempt}>"

    # By hand -------------------------------------------------------------------------------------

    async def ack(self) -> bool:
        """It is done. False: the lease had run out, and another receiver may have it."""
        return await layer_home().arun(lambda layer: layer.ack(self._raw))

    async def nack(self, *, delay: float = 0.0, dead: bool = False, reason: str = "") -> bool:
        """Give it back, for after ``delay`` seconds, or as a dead letter. False: as for `ack`."""
        return await layer_home().arun(self._giving_back(delay, dead, reason))

    async def release(self) -> bool:
        """Give it back unseen: it does not count as a delivery. False: as for `ack`."""
        return await layer_home().arun(lambda layer: layer.release(self._raw))

    async def extend(self, seconds: float) -> bool:
        """Hold it for so many seconds from now. False: as for `ack`."""
        return await layer_home().arun(lambda layer: layer.extend(self._raw, seconds))

    def _giving_back(self, delay: float, dead: bool, reason: str) -> Operation[bool]:
        return lambda layer: layer.nack(self._raw, delay=delay, dead=dead, reason=reason)

    # As a context manager ------------------------------------------------------------------------

    async def __aenter__(self) -> Any:
        self._keeper = asyncio.create_task(self._keep())
        return self.value

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if isinstance(self._keeper, asyncio.Task):
            self._keeper.cancel()
        if error is None:
            self._noted(await self.ack())
        else:
            with _only_logged(self):
                self._noted(await self.nack(reason=reason_of(error)))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._lease / EXTENSIONS_PER_LEASE)
            with _only_logged(self):
                if not await self.extend(self._lease):
                    return

    def __enter__(self) -> Any:
        self._keeper = threading.Event()
        threading.Thread(target=self._keep_in_thread, args=(self._keeper,), daemon=True).start()
        return self.value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if isinstance(self._keeper, threading.Event):
            self._keeper.set()
        home = layer_home()
        if error is None:
            self._noted(home.run(lambda layer: layer.ack(self._raw)))
        else:
            with _only_logged(self):
                self._noted(home.run(self._giving_back(0.0, False, reason_of(error))))

    def _keep_in_thread(self, over: threading.Event) -> None:
        home = layer_home()
        while not over.wait(self._lease / EXTENSIONS_PER_LEASE):
            with _only_logged(self):
                if not home.run(lambda layer: layer.extend(self._raw, self._lease)):
                    return

    def _noted(self, ours: bool) -> None:
        if not ours:
            logger.warning("%r was no longer ours: it may be handled twice", self)


def open_delivery(raw: queues.Delivery, lease: float) -> Delivery | None:
    """Decode what was received; None, and a line in the log, when it is not JSON."""
    try:
        return Delivery(raw, msgspec.json.decode(raw.data), lease)
    except (msgspec.MsgspecError, RecursionError) as error:
        logger.error("message %s of %s is not JSON: %s", raw.id, raw.channel, error)
        return None


@contextlib.contextmanager
def _only_logged(delivery: Delivery) -> Iterator[None]:
    """The engine being away must not hide what the block itself raised, or end its work: the
    message comes back by its lease."""
    try:
        yield
    except LayerError as error:
        logger.warning("%r could not be settled: %s", delivery, error)


def reason_of(error: BaseException) -> str:
    """Why something failed, as a dead letter says it. Engines make one line of it."""
    return f"{type(error).__name__}: {error}"
