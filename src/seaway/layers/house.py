"""One event loop with one layer and one hub on it, in a thread of its own or in the server's.

What lives here: `House`. What must not: which house is this process's, or how others reach it
(`home`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError as HandedOverCancelled
from typing import Any, TypeVar

from seaway.exceptions import LayerUnavailable, SeawayError
from seaway.layers.base import Layer
from seaway.layers.hub import Hub

logger = logging.getLogger("seaway.layers")

T = TypeVar("T")

#: What may be asked of a layer: a function that is called on its loop.
Operation = Callable[[Layer], Coroutine[Any, Any, T]]

#: Seconds that the end of a process waits for its layer to say goodbye.
GOODBYE_SECONDS = 2.0


class House:
    """One loop with one layer, from the first use to the end. All coroutines run on its loop.

    :param make: makes the layer.
    :ivar thread: of its own, after `move_in`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, make: Callable[[], Layer]) -> None:
        self.loop = loop
        self.thread: threading.Thread | None = None
        self.layer: Layer | None = None
        self.hub: Hub | None = None
        #: Called once, when the layer is about to leave this loop.
        self.leavers: list[Callable[[], None]] = []
        self._make = make
        self._opening = asyncio.Lock()
        self._closed = False
        self._end = asyncio.Event()

    async def open(self) -> Layer:
        """Start the layer at the first call, and again if that failed."""
        if self.layer is not None:
            return self.layer
        async with self._opening:
            if self._closed:
                raise LayerUnavailable("This process is closing its layer.")
            if self.layer is None:
                layer = self._make()
                hub = Hub(layer)
                await layer.start(hub)
                self.layer, self.hub = layer, hub
        return self.layer

    async def do(self, operation: Operation[T]) -> T:
        """Do something with the layer, which is started for it."""
        return await operation(await self.open())

    async def close(self) -> None:
        """Tell those who asked for it, and close the layer. It is not opened again."""
        async with self._opening:
            self._closed = True
            leavers, self.leavers = self.leavers, []
            for call in leavers:
                call()
            if self.hub is not None:
                await self.hub.close()
            if self.layer is not None:
                await self.layer.close()

    def when_it_leaves(self, call: Callable[[], None]) -> None:
        """Have something called once by `close`."""
        if self._closed:
            raise LayerUnavailable("This process is closing its layer.")
        if call not in self.leavers:
            self.leavers.append(call)

    # A house with a thread of its own ------------------------------------------------------------

    def move_in(self) -> None:
        """Run the loop in a daemon thread."""
        self.thread = threading.Thread(target=self._live, name="seaway-layer", daemon=True)
        self.thread.start()

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._end_awaited())

    async def _end_awaited(self) -> None:
        await self._end.wait()

    async def _close_and_end(self) -> None:
        try:
            await self.close()
        finally:
            self._end.set()

    def move_out(self) -> None:
        """Close the layer and end the thread, quietly and in bounded time; from another thread."""
        assert self.thread is not None  # noqa: S101  it has moved in
        try:
            closing = asyncio.run_coroutine_threadsafe(self._close_and_end(), self.loop)
            closing.result(GOODBYE_SECONDS)
        except (SeawayError, OSError, HandedOverCancelled) as error:
            logger.debug("the layer did not close in order: %r", error)
        self.thread.join(GOODBYE_SECONDS)
