"""Word to the relay that there is something to do: a message on a channel of the layer.

What lives here: saying so without making anybody wait for it, and hearing it.
What must not: reading the outbox. A word that is lost costs a second: the relay looks by itself.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading

from seaway.conf import layer_home
from seaway.exceptions import SeawayError
from seaway.layers.base import Layer

#: Seconds between two looks of a relay that nobody wakes.
LOOK_EVERY = 1.0


def channel(alias: str) -> str:
    """Where word of a database's outbox is sent."""
    return f"seaway.outbox:{alias}"


async def heard(layer: Layer, alias: str) -> None:
    """Wait for word, or until it is time to look."""
    for delivery in await layer.receive(channel(alias), wait=LOOK_EVERY):
        await layer.ack(delivery)


class Waker:
    """Says it from a thread of its own: a commit must not wait for the layer."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin afresh: in a forked child, the parent's thread is not, and its lock may be held."""
        self._lock = threading.Lock()
        self._aliases: set[str] = set()
        self._working = False

    def wake(self, alias: str) -> None:
        """Something was committed to the outbox of this database."""
        with self._lock:
            self._aliases.add(alias)
            if self._working:
                return
            self._working = True
        try:
            threading.Thread(target=self._work, name="seaway-outbox-wake", daemon=True).start()
        except RuntimeError:
            # No thread is to be had, as at the end of the interpreter. The commit is made: whoever
            # made it must not take it for failed, and the relay looks by itself.
            self._working = False

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._aliases:
                    self._working = False
                    return
                alias = self._aliases.pop()
            # One word is enough: the relay looks for all there is.
            with contextlib.suppress(SeawayError):
                layer_home().run(functools.partial(_say, alias=alias))


async def _say(layer: Layer, alias: str) -> None:
    await layer.send(channel(alias), b"", capacity=1, ttl=60.0)


waker = Waker()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=waker.begin)
