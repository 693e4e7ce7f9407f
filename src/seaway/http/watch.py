"""Running a coroutine until it ends or the client goes.

What lives here: `Watch`. What must not: Django.

Most views end without ever waiting. So the coroutine is run first, and only when it waits for
something a second task begins to listen for the client's leaving.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

from seaway.http.types import Receive

T = TypeVar("T")


class ClientGone(Exception):
    """The client has gone; what ran for it was cancelled."""


class Watch:
    """One request's watch, in the task that it was made in."""

    __slots__ = ("_cancelled", "_gone", "_listener", "_receive", "_running", "_task")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._listener: asyncio.Task[None] | None = None
        self._running = False
        self._gone = False
        self._cancelled = False

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work``. If the client goes meanwhile, cancel it and raise `ClientGone`."""
        if self._gone:
            work.close()
            raise ClientGone
        try:
            if self._listener is None:
                try:
                    waits_for = work.send(None)
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
                self._listener = asyncio.ensure_future(self._listen())
                self._running = True
                result = await _resume(work, waits_for)
            else:
                self._running = True
                result = await work
        except asyncio.CancelledError:
            self._forgive()
            raise
        finally:
            self._running = False
        if self._cancelled:
            self._forgive()
        return result

    def end(self) -> None:
        """Listen no more."""
        listener = self._listener
        if listener is not None and not listener.cancel() and not listener.cancelled():
            # Looked at, so that a server's broken `receive` is not reported a second time.
            listener.exception()

    def _forgive(self) -> None:
        """Take our own cancellation back; somebody else's stands."""
        if self._cancelled and self._task is not None:
            self._cancelled = False
            if self._task.uncancel() == 0:
                raise ClientGone

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if self._running and self._task is not None:
            self._cancelled = True
            self._task.cancel()


@types.coroutine
def _resume(work: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine that has been started by hand and waits for ``waits_for``."""
    while True:
        try:
            value = yield waits_for
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:  # noqa: BLE001 - it is the coroutine's to handle
            try:
                waits_for = work.throw(error)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
        else:
            try:
                waits_for = work.send(value)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
