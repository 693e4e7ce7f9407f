"""What workers find of tasks: the queues of our backends in ``TASKS``.

What lives here: `task_sources`, and `our_backend` by its alias.
What must not: an import of the tasks framework before a backend of ours is found in the settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seaway.channels.channel import Channel
    from seaway.channels.handlers import Handler
    from seaway.tasks.backend import SeawayBackend


def task_sources() -> dict[str, tuple[Handler, Sequence[Channel]]]:
    """Queue → who runs it and from where, for each queue of each of our backends in ``TASKS``."""
    sources: dict[str, tuple[Handler, Sequence[Channel]]] = {}
    for alias in getattr(settings, "TASKS", None) or {}:
        backend = our_backend(alias)
        if backend is not None:
            sources.update(backend.sources())
    return sources


def our_backend(alias: str) -> SeawayBackend | None:
    """The backend of that name in ``TASKS``; None for somebody else's, or none."""
    configured = getattr(settings, "TASKS", None) or {}
    if configured.get(alias, {}).get("BACKEND") != "seaway.tasks.backend.SeawayBackend":
        return None
    from seaway.tasks.backend import SeawayBackend
    from seaway.tasks.framework import task_backends

    backend = task_backends[alias]
    assert isinstance(backend, SeawayBackend)  # noqa: S101 - chosen by its path above
    return backend
