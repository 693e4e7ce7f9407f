"""Where epochs come from: the root that all of a stream's life have in common, and time.

What lives here: `Epochs`. What must not: a topic's own state.

A message in the topics' stream, the anchor, holds the root. Whatever is done to the stream
(deleted, emptied, restored from an older copy, lost with a server's memory), the anchor goes with
it or is found to be older than what was seen: then a new root is stored on the condition that the
anchor is still the old one, and all epochs are other ones from then on.

A topic that has no message takes its epoch from the root and the half of ``max_age`` in which it is
now. Its last message, which carries its offset, was gone after ``max_age`` without another one: two
halves later. So no epoch is used twice, at no cost for topics that nobody uses.
"""

from __future__ import annotations

import asyncio
import logging
import secrets

from seaway.layers.nats import headers
from seaway.layers.nats.answers import Conflict
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.jetstream import Condition, JetStream

#: Seconds between two looks at a stream that seems to have gone back.
SECOND_LOOK_SECONDS = 1.0

logger = logging.getLogger("seaway.layers")


class Epochs:
    """The root as this process knows it, and how far it has seen the stream grow."""

    def __init__(self, engine: Engine, jetstream: JetStream, stream: str, subject: str) -> None:
        self._engine = engine
        self._jetstream = jetstream
        self._stream = stream
        self._subject = subject
        self._half = engine.address.options.max_age / 2
        self.root = ""
        self.seen = 0

    def fresh(self) -> str:
        """The epoch of a topic without a message."""
        return f"{self.root}-{int(self._engine.now() // self._half):x}"

    def known(self, epoch: str) -> bool:
        """Whether an epoch is of the present root."""
        return epoch.partition("-")[0] == self.root

    def see(self, sequence: int) -> None:
        """A message of the stream was stored or told."""
        if sequence > self.seen:
            self.seen = sequence

    async def check(self) -> bool:
        """Look at the stream; whether the root has changed since the last look."""
        before, seen = self.root, self.seen
        last = await self._last()
        if last < seen:
            # A server that has just begun to lead may not know at once where it stands.
            await asyncio.sleep(SECOND_LOOK_SECONDS)
            last = await self._last()
        if last < seen:
            logger.error(
                "the stream %s has gone back from %d to %d: subscribers are told of a gap",
                self._stream,
                seen,
                last,
            )
            self.seen = last
        else:
            self.seen = max(self.seen, last)
        await self._read_root(renew=last < seen)
        return bool(before) and before != self.root

    async def _last(self) -> int:
        info = await self._jetstream.info(self._stream)
        return int(info["state"]["last_seq"])

    async def refresh(self) -> None:
        """Read the root: a message of another one was seen."""
        await self._read_root(renew=False)

    async def _read_root(self, *, renew: bool) -> None:
        while True:
            anchor = await self._jetstream.last(self._stream, self._subject)
            root = anchor.data.decode("ascii", "replace") if anchor is not None else ""
            # Another process may have renewed it already.
            if root.isalnum() and (not renew or root != self.root):
                self.root = root
                return
            root = secrets.token_hex(5)
            condition = Condition(anchor.sequence if anchor is not None else 0)
            try:
                await self._jetstream.store(
                    self._subject, root.encode(), {headers.TTL: b"never"}, condition
                )
            except Conflict:
                continue
            self.root = root
            return
