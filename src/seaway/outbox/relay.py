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
from django.db.models import Q, QuerySet

from seaway.conf import layer_home
from seaway.exceptions import (
    ConfigurationError,
    InvalidName,
    LayerError,
    LayerUnavailable,
    PayloadTooLarge,
    SeawayError,
)
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
#: Topics that the layer does not take while others go on; with more of them, all wait.
HELD_UP = 100
#: Seconds between two attempts after an error.
PAUSE = 1.0


class Relay:
    """Publishes what is in the outbox of one database.

    :ivar trouble: why events wait: what the layer said of them last; empty: none does.
    """

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.trouble = ""
        self._me = uuid.uuid4().hex
        self._ending = threading.Event()
        self._until = 0.0
        #: Topics whose first event the layer does not take now: what is behind it waits, too.
        self._held_up: set[str] = set()

    def run(self) -> None:
        """Relay until `end` is called, whatever goes wrong meanwhile."""
        said = ""
        while not self._ending.is_set():
            try:
                if not self._hold():
                    self._ending.wait(OTHERS_TURN)
                    continue
                self.drain()
                trouble = self.trouble
                if not trouble:
                    layer_home().run(lambda layer: heard(layer, self.alias))
            except (SeawayError, DatabaseError) as error:
                trouble = str(error)
            except Exception as error:
                # A relay that ended here would leave all that comes in the outbox without a word.
                logger.exception("the relay failed database=%s", self.alias)
                trouble = repr(error)
            finally:
                close_old_connections()
            if trouble and trouble != said:
                logger.warning("outbox waits database=%s error=%s", self.alias, trouble)
            said = trouble
            if trouble:
                self._ending.wait(PAUSE)
        self.leave()

    def end(self) -> None:
        """Let `run` return soon."""
        self._ending.set()

    def drain(self) -> int:
        """Publish all that can go out, if it is our turn; how many events did.

        :raises LayerUnavailable: the layer does not answer; what is not out stays.
        """
        self.trouble = ""
        self._held_up.clear()
        count = 0
        while not self._ending.is_set() and self._hold() and (batch := self._batch()):
            count += self._relay(batch)
        return count

    @property
    def has_turn(self) -> bool:
        """Whether it was our turn when it was last looked at."""
        return self._until > time.time()

    def waiting(self) -> int:
        """How many events are in the outbox that the layer has not refused for good."""
        return self._events().filter(refused="").count()

    def _events(self) -> QuerySet[OutboxEvent]:
        return OutboxEvent.objects.using(self.alias)

    def _batch(self) -> list[OutboxEvent]:
        waiting = self._events().filter(refused="").exclude(topic__in=self._held_up)
        return list(waiting.order_by("id")[:BATCH])

    def _relay(self, batch: Sequence[OutboxEvent]) -> int:
        published: list[OutboxEvent] = []
        try:
            layer_home().run(lambda layer: self._publish_all(layer, batch, published))
        finally:
            self._events().filter(pk__in=[event.pk for event in published]).delete()
            for event in batch:
                if event.refused:
                    self._events().filter(pk=event.pk).update(refused=event.refused)
        return len(published)

    # Publishing, on the layer's loop -------------------------------------------------------------

    async def _publish_all(
        self, layer: Layer, batch: Sequence[OutboxEvent], published: list[OutboxEvent]
    ) -> None:
        """Topics side by side, the events of each one after the other."""
        topics: dict[str, list[OutboxEvent]] = {}
        for event in batch:
            topics.setdefault(event.topic, []).append(event)
        results = await asyncio.gather(
            *(self._publish_in_order(layer, events, published) for events in topics.values()),
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _publish_in_order(
        self, layer: Layer, events: Sequence[OutboxEvent], published: list[OutboxEvent]
    ) -> None:
        for event in events:
            if not self.has_turn:
                return  # held up for so long that another one may be publishing these
            history = History(event.size, event.seconds) if event.size else None
            try:
                await layer.publish(event.topic, bytes(event.data), history, once=event.once)
            except (PayloadTooLarge, InvalidName) as error:
                event.refused = str(error)[:300]
                logger.error("the layer refuses an event topic=%s error=%s", event.topic, error)
            except LayerUnavailable:
                raise
            except (LayerError, ConfigurationError) as error:
                # Not the event's fault (the engine is full, say): nor may it be overtaken.
                self._hold_up(event.topic, error)
                return
            else:
                published.append(event)

    def _hold_up(self, topic: str, error: SeawayError) -> None:
        """:raises SeawayError: it is one of so many that all of the outbox has to wait."""
        self.trouble = f"{error} (topic {topic})"
        self._held_up.add(topic)
        if len(self._held_up) > HELD_UP:
            raise error

    # Turns ---------------------------------------------------------------------------------------

    def _hold(self) -> bool:
        """Whether it is our turn, renewed in time."""
        now = time.time()
        if self._until - now < TURN_SECONDS / 2:
            self._until = now + TURN_SECONDS if self._take_turn(now) else 0.0
        return self.has_turn

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

    def leave(self) -> None:
        """Give up the turn, and the connection to the database."""
        try:
            self._until = 0.0
            OutboxTurn.objects.using(self.alias).filter(pk=1, holder=self._me).update(until=0.0)
        except DatabaseError as error:
            logger.debug("the turn ends by itself: %s", error)
        connections[self.alias].close()
