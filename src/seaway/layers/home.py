"""The one event loop of a process that owns its layer and its hub.

What lives here: `LayerHome`: who owns the layer, and how everybody else reaches it.
What must not: the layer's life on its loop (`house`), what is asked of it, or a process-wide
instance; that is the caller's.

In a server the server's own loop adopts the layer. In any other process (a WSGI worker, a shell, a
task worker) the first use starts one background thread with a loop, and every call is handed over
to it: no loop and no connection per call. A forked child starts afresh.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError as HandedOverCancelled
from concurrent.futures import Future
from typing import TypeVar

from seaway.exceptions import LayerUnavailable, SyncCallInLoop
from seaway.layers.background import running_loop
from seaway.layers.base import Layer
from seaway.layers.house import House, Operation
from seaway.layers.hub import Hub

logger = logging.getLogger("seaway.layers")

T = TypeVar("T")


class LayerHome:
    """Where the layer of this process lives.

    :param make: makes the layer, on the loop that is to own it.
    """

    def __init__(self, make: Callable[[], Layer]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._house: House | None = None
        _homes.add(self)

    # The server's loop ---------------------------------------------------------------------------

    async def adopt(self) -> Hub:
        """Make the running loop the layer's home and start the layer. Again: nothing.

        A background loop that had it is closed first; calls made meanwhile wait.

        :raises ConfigurationError, LayerUnavailable: from starting the layer; nobody owns it then.
        :raises RuntimeError: another running loop has adopted it.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            before = self._living()
            if before is not None and before.loop is loop:
                house = before
            elif before is not None and before.thread is None:
                raise RuntimeError("Another event loop of this process has adopted the layer.")
            else:
                house = self._house = House(loop, self._make)
        try:
            if before is not None and before is not house:
                await asyncio.to_thread(before.move_out)
            await house.open()
        except BaseException:
            self._forget(house)
            raise
        assert house.hub is not None  # noqa: S101  open() has just made it
        return house.hub

    async def release(self) -> None:
        """Close the layer that the running loop adopted. Not adopted by it: nothing."""
        house = self._house
        if house is not None and house.loop is asyncio.get_running_loop():
            try:
                await house.close()
            finally:
                self._forget(house)

    @property
    def hub(self) -> Hub:
        """The hub; its methods belong on the home's loop."""
        house = self._house
        if house is None or house.hub is None:
            raise LayerUnavailable("No event loop of this process has adopted the layer yet.")
        return house.hub

    @property
    def layer(self) -> Layer:
        """The layer; its coroutines belong on the home's loop. Others use `run` and `arun`."""
        house = self._house
        if house is None or house.layer is None:
            raise LayerUnavailable("No event loop of this process has adopted the layer yet.")
        return house.layer

    @property
    def is_here(self) -> bool:
        """Whether the running loop is the layer's."""
        house = self._house
        return house is not None and house.loop is asyncio.get_running_loop()

    def when_it_leaves(self, call: Callable[[], None]) -> None:
        """Have something called once on the running loop, the home's, before the layer leaves it
        for another one or is closed. The end of the process is not told.

        :raises LayerUnavailable: that has begun.
        """
        house = self._house
        if house is None or house.loop is not asyncio.get_running_loop():
            raise LayerUnavailable("The layer has left this event loop.")
        house.when_it_leaves(call)

    def forget_leaving(self, call: Callable[[], None]) -> None:
        """Undo `when_it_leaves`. It was called, or is not known: nothing."""
        house = self._house
        if house is not None and call in house.leavers:
            house.leavers.remove(call)

    # Everybody else ------------------------------------------------------------------------------

    def run(self, operation: Operation[T]) -> T:
        """Do something with the layer and wait for it, from a thread without a running loop.

        :raises SyncCallInLoop: this thread's loop is running.
        :raises LayerError: from the operation, or because the layer cannot be started.
        """
        if running_loop() is not None:
            raise SyncCallInLoop(
                "This thread runs an event loop, which a synchronous call would block. "
                "Await the a-prefixed twin instead, as in `await topic.apublish(...)`."
            )
        future = self._hand_over(operation)
        try:
            return future.result()
        except HandedOverCancelled:
            raise LayerUnavailable("The layer was closed meanwhile.") from None
        except BaseException:
            future.cancel()
            raise

    async def arun(self, operation: Operation[T]) -> T:
        """Do something with the layer from any loop: at once on the home's, else handed over."""
        house = self._house
        if house is not None and house.loop is asyncio.get_running_loop():
            return await house.do(operation)
        future = self._hand_over(operation)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise LayerUnavailable("The layer was closed meanwhile.") from None

    def close(self) -> None:
        """End the background loop, if there is one. A later use starts a new one."""
        with self._lock:
            house = self._house
            if house is None or house.thread is None:
                return
            self._house = None
        house.move_out()

    # Inside --------------------------------------------------------------------------------------

    def _hand_over(self, operation: Operation[T]) -> Future[T]:
        # Handed over under the lock, as closing takes the house away under it: so an operation is
        # either before the end of its loop, and is answered, or finds another house.
        with self._lock:
            house = self._living()
            if house is None:
                house = self._house = House(asyncio.new_event_loop(), self._make)
                house.move_in()
            elif house.thread is None and not house.loop.is_running():
                raise LayerUnavailable("The event loop that adopted the layer is not running.")
            return asyncio.run_coroutine_threadsafe(house.do(operation), house.loop)

    def _living(self) -> House | None:
        """The house, unless its loop ended without releasing it."""
        house = self._house
        if house is None or house.loop.is_closed():
            return None
        return house

    def _forget(self, house: House) -> None:
        with self._lock:
            if self._house is house:
                self._house = None

    def _forked(self) -> None:
        house, self._house = self._house, None
        self._lock = threading.Lock()
        if house is not None:
            _inherited.append(house)
            if house.layer is not None:
                house.layer.forked()


_homes: weakref.WeakSet[LayerHome] = weakref.WeakSet()

#: What a forked child holds of its parent's. Kept for ever: collecting the loop would take the
#: parent's descriptors out of the selector, which parent and child share in the kernel.
_inherited: list[House] = []


def _after_fork() -> None:
    for home in list(_homes):
        home._forked()


def _at_exit() -> None:
    for home in list(_homes):
        if home._house is not None:
            home._house.leavers.clear()  # there is nowhere to move to
        home.close()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
