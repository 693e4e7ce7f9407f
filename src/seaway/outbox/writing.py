"""Writing to the outbox, inside a transaction.

What lives here: one row for one event, and word to the relay after the commit.
What must not: publishing.
"""

from __future__ import annotations

import uuid

from django.db import transaction

from seaway.layers.base import History, check_name
from seaway.outbox.models import OutboxEvent
from seaway.outbox.waking import waker


def write(alias: str, topic: str, data: bytes, history: History | None) -> None:
    """Keep an event with the transaction that is open on a database."""
    check_name(topic)
    size, seconds = (history.size, history.seconds) if history is not None else (0, 1.0)
    OutboxEvent.objects.using(alias).create(
        topic=topic, data=data, size=size, seconds=seconds, once=uuid.uuid4().hex
    )
    transaction.on_commit(lambda: waker.wake(alias), using=alias)
