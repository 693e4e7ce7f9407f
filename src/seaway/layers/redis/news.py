"""What this process is subscribed to, and on which connection.

What lives here: `News` and `Subscription`: placing, placing again, and looking whether one was lost
in silence. What must not: what the news mean; that is `streams`' and `queues`'.

A subscription may have a question, which is asked right behind it on the same connection. What was
announced before its answer happened before it, everything else after: the two make one cut.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from seaway.layers.redis.keys import slot
from seaway.layers.redis.link import Link, failed
from seaway.layers.redis.scripts import Script
from seaway.layers.redis.shard import Shard
from seaway.layers.redis.topology import Topology

logger = logging.getLogger("seaway.layers")

#: Subscriptions that one check looks at, and the seconds between two checks.
CHECKED, CHECK_SECONDS = 500, 2.0


class Subscription:
    """One channel of news. ``link``: on which connection it was asked for; None: on none."""

    __slots__ = ("channel", "link", "slot")

    def __init__(self, channel: bytes) -> None:
        self.channel = channel
        self.slot = slot(channel)
        self.link: Link | None = None

    def question(self) -> tuple[Script, Sequence[bytes], Sequence[bytes]] | None:
        """What to ask behind it: a script, its keys, its arguments."""
        return None

    def begun(self, answer: Any) -> None:
        """It stands from now on; the answer to the question, or None without one."""

    def checked(self, answer: Any) -> bool:
        """Whether the answer to the question, asked again, shows that nothing was lost."""
        return True

    def told(self, data: bytes) -> None:
        """News."""

    def ended(self) -> None:
        """There will be no more; the layer is closed."""


class News:
    """All subscriptions of this process."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._table: dict[bytes, Subscription] = {}
        self._misplaced = False
        self._to_check: list[bytes] = []
        self._next_check = 0.0

    def add(self, subscription: Subscription) -> None:
        """Subscribe; at once, or as soon as there is a connection."""
        self._table[subscription.channel] = subscription
        self._place(subscription)

    def remove(self, subscription: Subscription) -> None:
        """Undo that. Not there: nothing."""
        if self._table.get(subscription.channel) is subscription:
            del self._table[subscription.channel]
            link, subscription.link = subscription.link, None
            if link is not None and link.open:
                link.unsubscribe(_ignore, subscription.channel)

    def end(self) -> None:
        """The layer is closed: tell everybody."""
        table, self._table = self._table, {}
        for subscription in table.values():
            subscription.ended()

    def get(self, channel: bytes) -> Subscription | None:
        return self._table.get(channel)

    # What shards do ------------------------------------------------------------------------------

    def told(self, channel: bytes, data: bytes) -> None:
        subscription = self._table.get(channel)
        if subscription is not None:
            try:
                subscription.told(data)
            except Exception:
                logger.exception("news of %s could not be handled", channel.decode())

    def dropped(self, shard: Shard, channel: bytes) -> None:
        """The server ended a subscription: its slot has moved."""
        subscription = self._table.get(channel)
        if subscription is not None and subscription.link is shard.news.link:
            subscription.link = None
            self._misplaced = True
            self._topology.suspect_slots()

    def up(self, shard: Shard) -> None:
        """There is a new connection: everything that belongs on it is placed on it now."""
        for subscription in list(self._table.values()):
            if self._topology.shard(subscription.slot) is shard:
                self._place(subscription)

    def reconcile(self) -> None:
        """Place what is not where its slot is served."""
        self._misplaced = False
        for subscription in list(self._table.values()):
            shard = self._topology.shard(subscription.slot)
            if shard is None or shard.news.link is None:
                continue  # placed when it comes up
            if subscription.link is not shard.news.link:
                self._place(subscription)

    def tick(self, now: float) -> None:
        """Called several times a second."""
        if self._misplaced:
            self.reconcile()
        if now >= self._next_check:
            self._next_check = now + CHECK_SECONDS
            self._check_some()

    # Placing -------------------------------------------------------------------------------------

    def _place(self, subscription: Subscription) -> None:
        shard = self._topology.shard(subscription.slot)
        link = shard.news.link if shard is not None else None
        before, subscription.link = subscription.link, link
        if before is not None and before is not link and before.open:
            before.unsubscribe(_ignore, subscription.channel)
        if link is None:
            self._misplaced = self._misplaced or shard is None
            return
        link.subscribe(partial(self._subscribed, subscription, link), subscription.channel)
        self._ask(subscription, link, partial(self._begun, subscription, link))

    def _subscribed(self, subscription: Subscription, link: Link, answer: Any) -> None:
        if subscription.link is not link:
            return
        if failed(answer):
            self._refused(subscription, answer)
        elif subscription.question() is None:
            self._handle(subscription, None)

    def _ask(self, subscription: Subscription, link: Link, answered: Any) -> None:
        question = subscription.question()
        if question is not None:
            script, keys, arguments = question
            link.ask(answered, b"EVALSHA", script.sha, b"%d" % len(keys), *keys, *arguments, b"0")

    def _begun(self, subscription: Subscription, link: Link, answer: Any) -> None:
        if subscription.link is not link or self._table.get(subscription.channel) is None:
            return
        if failed(answer):
            if str(answer).startswith("NOSCRIPT"):
                self._load(subscription, link)
            self._refused(subscription, answer)
        else:
            self._handle(subscription, answer)

    def _load(self, subscription: Subscription, link: Link) -> None:
        question = subscription.question()
        if question is not None:
            link.ask(_ignore, b"SCRIPT", b"LOAD", question[0].text)

    def _refused(self, subscription: Subscription, answer: Any) -> None:
        """It is tried again at the next tick, wherever its slot is served by then."""
        logger.debug("no news of %s: %s", subscription.channel.decode(), answer)
        subscription.link = None
        self._misplaced = True
        if str(answer).startswith("READONLY"):
            self._topology.suspect()
        elif not str(answer).startswith("NOSCRIPT"):
            self._topology.suspect_slots()

    def _handle(self, subscription: Subscription, answer: Any) -> None:
        try:
            subscription.begun(answer)
        except Exception:
            logger.exception("the receiver failed on %s", subscription.channel.decode())

    # Checking ------------------------------------------------------------------------------------

    def _check_some(self) -> None:
        if not self._to_check:
            self._to_check = list(self._table)
        for channel in self._to_check[-CHECKED:]:
            subscription = self._table.get(channel)
            if subscription is not None and subscription.link is not None:
                link = subscription.link
                self._ask(subscription, link, partial(self._checked, subscription, link))
        del self._to_check[-CHECKED:]

    def _checked(self, subscription: Subscription, link: Link, answer: Any) -> None:
        if subscription.link is not link or self._table.get(subscription.channel) is None:
            return
        if failed(answer):
            self._refused(subscription, answer)
        elif not subscription.checked(answer):
            logger.warning("the subscription of %s was lost", subscription.channel.decode())
            self._place(subscription)


def _ignore(answer: Any) -> None:
    """Nobody waits for it."""
