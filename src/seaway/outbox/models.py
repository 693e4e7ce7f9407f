"""The tables of the outbox: events on their way out, and whose turn it is to relay them.

What lives here: the models. What must not: relaying.
"""

from __future__ import annotations

from django.db import models


class OutboxEvent(models.Model):
    """An event of a transaction that has committed, until it is published.

    ``once`` makes the layer publish it once, however often it is relayed. ``refused`` says why the
    layer will never take it; such an event stays for the operator.
    """

    id = models.BigAutoField(primary_key=True)
    topic = models.CharField(max_length=200)
    data = models.BinaryField()
    size = models.IntegerField()
    seconds = models.FloatField()
    once = models.CharField(max_length=32)
    refused = models.CharField(max_length=300, default="", blank=True)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.topic} #{self.pk}"


class OutboxTurn(models.Model):
    """Who relays: one row. A turn that is not renewed in time falls to whoever asks next."""

    id = models.SmallIntegerField(primary_key=True)
    holder = models.CharField(max_length=32)
    until = models.FloatField()

    def __str__(self) -> str:
        return self.holder
