"""Django's entry: registers the system checks and finds every app's ``topics`` and ``channels``."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register
from django.utils.module_loading import autodiscover_modules


class SeawayConfig(AppConfig):
    name = "seaway"
    verbose_name = "Seaway"

    def ready(self) -> None:
        from seaway.checks import CHECKS

        for check in CHECKS:
            register(check, "seaway")
        autodiscover_modules("topics", "channels")
