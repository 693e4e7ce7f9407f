"""Work for one statement, gathered while the statement before it is under way.

What lives here: `Batches`. What must not: what the work is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
I = TypeVar("I")  # noqa: E741  an item
R = TypeVar("R")


class _Line(Generic[I, R]):
    """What is to be done under one key, and whether something is being done."""

    __slots__ = ("busy", "items")

    def __init__(self) -> None:
        self.items: deque[tuple[I, asyncio.Future[R]]] = deque()
        self.busy = False


class Batches(Generic[K, I, R]):
    """Items of one key are done in their order, as many at a time as there are.

    :param do: does several items of a key; their results in order, or an error for all of them.
    :param most: items that it takes; :param size: and of these together, by ``weight``.
    """

    def __init__(
        self,
        do: Callable[[K, Sequence[I]], Awaitable[Sequence[R]]],
        most: int,
        size: int,
        weight: Callable[[I], int],
    ) -> None:
        self._do = do
        self._most = most
        self._size = size
        self._weight = weight
        self._lines: dict[K, _Line[I, R]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def add(self, key: K, item: I) -> R:
        """Do one item. Cancelled before its turn, it is not done."""
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line()
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        line.items.append((item, future))
        if not line.busy:
            line.busy = True
            task = asyncio.get_running_loop().create_task(self._work(key, line))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _work(self, key: K, line: _Line[I, R]) -> None:
        """Until there is nothing more to do under this key."""
        while batch := self._next(line):
            try:
                results = await self._do(key, [item for item, _ in batch])
            except BaseException as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                if not isinstance(error, Exception):
                    raise
            else:
                for (_, future), result in zip(batch, results, strict=True):
                    if not future.done():
                        future.set_result(result)
        del self._lines[key]

    def _next(self, line: _Line[I, R]) -> list[tuple[I, asyncio.Future[R]]]:
        batch: list[tuple[I, asyncio.Future[R]]] = []
        size = 0
        while line.items and len(batch) < self._most and size < self._size:
            item, future = line.items.popleft()
            if not future.done():
                batch.append((item, future))
                size += self._weight(item)
        return batch
