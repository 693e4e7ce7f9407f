"""Receiving that may be given up at any moment, on whatever loop the receiver runs.

What lives here: `receive_one`. What must not: what becomes of a delivery (`delivery`).

An engine's ``receive`` is safe to cancel on the layer's own loop. From another loop a cancellation
and a message may pass each other on the way: so the layer's loop is asked to undo it, and the
receiver is cancelled when that is done. Whoever receives next finds everything in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from seaway.conf import layer_home
from seaway.exceptions import LayerError
from seaway.layers.base import Layer
from seaway.layers.home import LayerHome
from seaway.layers.queues import Delivery

T = TypeVar("T")

Receive = Callable[[Layer], Coroutine[Any, Any, Sequence[Delivery]]]


async def receive_one(receive: Receive) -> Delivery | None:
    """What ``receive`` gives, or None. Cancelled, it takes nothing: a message that was on its way
    is released, and that delivery not counted."""
    home = layer_home()
    found = await (home.arun(receive) if home.is_here else _from_afar(home, receive))
    return found[0] if found else None


class _Asked:
    """One ``receive`` that was asked for from afar; its methods run on the layer's loop."""

    __slots__ = ("_found", "_left", "_receive", "_task")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task: asyncio.Task[Any] | None = None
        self._found: Sequence[Delivery] = ()
        self._left = False

    async def do(self, layer: Layer) -> Sequence[Delivery]:
        if not self._left:
            self._task = asyncio.current_task()
            self._found = await self._receive(layer)
        return self._found

    async def undo(self, layer: Layer) -> None:
        self._left = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        for delivery in self._found:
            await layer.release(delivery)


async def _from_afar(home: LayerHome, receive: Receive) -> Sequence[Delivery]:
    asked = _Asked(receive)
    answer = asyncio.ensure_future(home.arun(asked.do))
    try:
        return await asyncio.shield(answer)
    except asyncio.CancelledError:
        with contextlib.suppress(LayerError):  # then it comes back by its lease
            await to_its_end(home.arun(asked.undo))
        await asyncio.gather(answer, return_exceptions=True)
        raise


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Whoever is cancelled meanwhile is told when it is done: half of it would lose something."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
