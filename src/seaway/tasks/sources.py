"""What workers find of tasks: the queues of our backends in ``TASKS``.

What lives here: `task_sources`.
What must not: an import of the tasks framework before a backend of ours is found in the settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seaway.channels.channel import Channel
    from seaway.channels.handlers import Handler


def task_sources() -> dict[str, tuple[Handler, Sequence[Channel]]]:
    """Queue → who runs it and from where, for each queue of each of our backends in ``TASKS``."""
    configured = getattr(settings, "TASKS", None) or {}
    ours = [
        alias
        for alias, options in configured.items()
        if options.get("BACKEND") == "seaway.tasks.backend.SeawayBackend"
    ]
    if not ours:
        return {}
    from seaway.tasks.backend import SeawayBackend
    from seaway.tasks.framework import task_backends

    sources: dict[str, tuple[Handler, Sequence[Channel]]] = {}
    for alias in ours:
        backend = task_backends[alias]
        assert isinstance(backend, SeawayBackend)  # noqa: S101 - chosen by its path above
        sources.update(backend.sources())
    return sources
