"""The relay: what is in the outbox of a database goes out in order, and then out of the outbox.

What lives here: `Relay`, for one database, in a thread or a command of its own.
What must not: who starts it.

One relays at a time, under a turn that it renews: so events of one topic go out in the order of the
outbox. A relay that lost its turn while it was held up may repeat what another one has published;
``once`` makes the layer take it for what it is.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Sequence

from django.db import DatabaseError, IntegrityError, close_old_connections, connections
from django.db.models import Q

from seaway.conf import layer_home
from seaway.exceptions import LayerError, LayerUnavailable
from seaway.layers.base import History, Layer
from seaway.outbox.models import OutboxEvent, OutboxTurn
from seaway.outbox.waking import heard

logger = logging.getLogger("seaway.outbox")

#: Events that are published between two looks at the turn.
BATCH = 200
#: Seconds that a turn lasts unless it is renewed. Clocks of machines may differ by less than this.
TURN_SECONDS = 30.0
#: Seconds between two looks of a relay whose turn it is not.
OTHERS_TURN = 2.0
#: Seconds between two attempts after an error.
PAUSE = 1.0


class Relay:
    """Publishes what is in the outbox of one database."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._me = uuid.uuid4().hex
        self._ending = threading.Event()
        self._until = 0.0

    def run(self) -> None:
        """Relay until `end` is called, whatever goes wrong meanwhile."""
        trouble = ""
        while not self._ending.is_set():
            try:
                if not self._hold():
                    self._ending.wait(OTHERS_TURN)
                    continue
                while self.relay_once() and not self._ending.is_set():
                    continue
                layer_home().run(lambda layer: heard(layer, self.alias))
                trouble = ""
            except (LayerError, DatabaseError) as error:
                if str(error) != trouble:
                    trouble = str(error)
                    logger.warning("outbox waits database=%s error=%s", self.alias, trouble)
                self._ending.wait(PAUSE)
            finally:
                close_old_connections()
        self._leave()

    def end(self) -> None:
        """Let `run` return soon."""
        self._ending.set()

    def relay_once(self) -> int:
        """Publish one batch, if it is our turn; how many events went out.

        :raises LayerUnavailable: the layer does not answer; what is not out stays.
        """
        waiting = OutboxEvent.objects.using(self.alias).filter(refused="").order_by("id")
        if not waiting.exists() or not self._hold():
            return 0
        batch = list(waiting[:BATCH])
        published: list[OutboxEvent] = []
        try:
            layer_home().run(lambda layer: _publish_all(layer, batch, published))
        finally:
            ids = [event.pk for event in published]
            OutboxEvent.objects.using(self.alias).filter(pk__in=ids).delete()
            for event in batch:
                if event.refused:
                    event.save(using=self.alias, update_fields=["refused"])
        return len(published)

    # Turns ---------------------------------------------------------------------------------------

    def _hold(self) -> bool:
        """Whether it is our turn, renewed in time."""
        now = time.time()
        if self._until - now < TURN_SECONDS / 2:
            self._until = now + TURN_SECONDS if self._take_turn(now) else 0.0
        return self._until > now

    def _take_turn(self, now: float) -> bool:
        turns = OutboxTurn.objects.using(self.alias)
        free = Q(holder=self._me) | Q(until__lt=now) | Q(until__gt=now + 2 * TURN_SECONDS)
        if turns.filter(free, pk=1).update(holder=self._me, until=now + TURN_SECONDS):
            return True
        if turns.filter(pk=1).exists():
            return False
        try:
            turns.create(pk=1, holder=self._me, until=now + TURN_SECONDS)
        except IntegrityError:
            return False
        return True

    def _leave(self) -> None:
        try:
            self._until = 0.0
            OutboxTurn.objects.using(self.alias).filter(pk=1, holder=self._me).update(until=0.0)
        except DatabaseError as error:
            logger.debug("the turn ends by itself: %s", error)
        connections[self.alias].close()


async def _publish_all(
    layer: Layer, batch: Sequence[OutboxEvent], published: list[OutboxEvent]
) -> None:
    """Topics side by side, the events of each one after the other."""
    topics: dict[str, list[OutboxEvent]] = {}
    for event in batch:
        topics.setdefault(event.topic, []).append(event)
    results = await asyncio.gather(
        *(_publish_in_order(layer, events, published) for events in topics.values()),
        return_exceptions=True,
    )
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _publish_in_order(
    layer: Layer, events: Sequence[OutboxEvent], published: list[OutboxEvent]
) -> None:
    for event in events:
        history = History(event.size, event.seconds) if event.size else None
        try:
            await layer.publish(event.topic, bytes(event.data), history, once=event.once)
        except LayerUnavailable:
            raise
        except LayerError as error:
            event.refused = str(error)[:300]
            logger.error("the layer refuses an event topic=%s error=%s", event.topic, error)
            continue
        published.append(event)
