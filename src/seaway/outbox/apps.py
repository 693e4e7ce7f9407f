"""Django's entry to the outbox."""

from __future__ import annotations

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    name = "seaway.outbox"
    label = "seaway_outbox"
    verbose_name = "Seaway's outbox"
    default_auto_field = "django.db.models.BigAutoField"
