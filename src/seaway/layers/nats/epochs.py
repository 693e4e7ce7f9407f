"""Where epochs come from: the root that all of a stream's life have in common, and time.

What lives here: `Epochs`. What must not: a topic's own state.

A message in the topics' stream, the anchor, holds the root. Whatever is done to the stream
(deleted, emptied, restored from an older copy, lost with a server's memory), the anchor goes with
it or is found to be older than what was seen: then a new root is stored on the condition that the
anchor is still the old one, and all epochs are other ones from then on.

That something is older than what was seen is not believed because a server of a cluster says so: it
may be one that stood still. The anchor is stored once more then. That takes a majority, and the
sequence that it gets is beyond all that was ever seen, or the stream has gone back.

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
from seaway.layers.nats.requests import NoAnswer

#: How often, and after how many seconds, a stream is looked at again that seems to have gone back.
LOOKS, LOOK_SECONDS = 4, 0.25

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
        self._checked = ""
        #: Every root that this process has known, and the sequence of the present one's anchor.
        self._roots: set[str] = set()
        self._anchor = 0

    def fresh(self) -> str:
        """The epoch of a topic without a message."""
        return f"{self.root}-{int(self._engine.clock.now() // self._half):x}"

    def known(self, epoch: str) -> bool:
        """Whether an epoch is of the present root."""
        return epoch.partition("-")[0] == self.root

    def see(self, sequence: int) -> None:
        """A message of the stream was stored or told."""
        if sequence > self.seen:
            self.seen = sequence

    async def check(self) -> bool:
        """Look at the stream; whether the root has changed since the last check."""
        seen = self.seen
        last = await self._last()
        for _ in range(LOOKS if self._jetstream.api.replicas > 1 else 0):
            if last >= seen:
                break
            # A server that stood still, or has just begun to lead, may not know where it stands.
            await asyncio.sleep(LOOK_SECONDS)
            last = await self._last()
        if last < seen:
            logger.info("%s is said to end at %d, before %d", self._stream, last, seen)
            await self.prove()
        else:
            self.see(last)
            await self.refresh()
        before, self._checked = self._checked, self.root
        return bool(before) and before != self.root

    async def _last(self) -> int:
        info = await self._jetstream.api.info(self._stream)
        return int(info["state"]["last_seq"])

    async def refresh(self) -> None:
        """Read the root: a message of another one was seen."""
        await self._read_root(prove=False)

    async def prove(self) -> None:
        """Find out by storing, which only a majority can do, whether the stream has gone back; if
        it has, begin a new root. For who was told something older than what was seen."""
        await self._read_root(prove=True)

    # The anchor ----------------------------------------------------------------------------------

    async def _read_root(self, *, prove: bool) -> None:
        """Read the root from an anchor that is not older than the one that is known; from one that
        is, or with ``prove``, when it has turned out to be the present one."""
        deadline = self._engine.loop.time() + self._engine.timeout
        while True:
            anchor = await self._jetstream.archive.last(self._stream, self._subject, deadline)
            root = anchor.data.decode("ascii", "replace") if anchor is not None else ""
            at = anchor.sequence if anchor is not None else 0
            known = not root.isalnum() or root in self._roots
            if root.isalnum() and at >= self._anchor and not (prove and known):
                break
            seen = self.seen
            try:
                if root.isalnum():
                    at = await self._store(root, at, deadline)
                    if not known or (root == self.root and at > seen):
                        break
                root = secrets.token_hex(5)
                at = await self._store(root, at, deadline)
            except Conflict:
                # Another process was faster, or the answer was an old one.
                await self._jetstream.api.pause(deadline, NoAnswer("a server is behind"))
                continue
            if self.root:
                logger.error(
                    "the stream %s has gone back from %d to %d: subscribers are told of a gap",
                    self._stream,
                    seen,
                    at,
                )
            break
        self.seen = max(self.seen, at) if root == self.root else at
        self.root, self._anchor = root, at
        self._roots.add(root)

    async def _store(self, root: str, after: int, deadline: float) -> int:
        values = {headers.TTL: b"never", headers.ROLLUP: b"sub"}
        return await self._jetstream.store(
            self._subject, root.encode(), values, Condition(after), deadline=deadline
        )
