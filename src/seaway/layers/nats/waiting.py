"""Who waits at a channel in this process: receivers for a message, senders for room.

What lives here: `Line`, which wakes those who wait in the order in which they came.
What must not: what they wait for.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from seaway.exceptions import LayerUnavailable


class Line:
    """Some who wait. Who is woken and then leaves without need of it wakes the next."""

    def __init__(self) -> None:
        self._line: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._line)

    async def wait(self, seconds: float, *, first: bool = False) -> None:
        """Wait until woken, or for so long.

        :param first: was first in line before, and woken in vain.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line[future] = None
        if first:
            self._line.move_to_end(future, last=False)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.wake()
            raise
        finally:
            self._line.pop(future, None)

    def wake(self, count: int = 1) -> None:
        """Wake so many."""
        while count > 0 and self._line:
            future, _ = self._line.popitem(last=False)
            if not future.done():
                future.set_result(None)
                count -= 1

    def wake_all(self) -> None:
        self.wake(len(self._line))

    def end(self) -> None:
        """The layer is closed."""
        while self._line:
            future, _ = self._line.popitem(last=False)
            if not future.done():
                future.set_exception(LayerUnavailable("The layer was closed meanwhile."))
