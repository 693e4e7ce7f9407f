"""Cache clients that live as long as their thread, as under WSGI.

What lives here: handing a thread's cache clients from one request's context to the next.
What must not: anything else that outlives a request; database connections do so by themselves.

Django keeps cache clients in the context. Each request has a context of its own here, so without
this each would connect to the cache server anew.
"""

from __future__ import annotations

import threading
from typing import Any

from django.conf import settings
from django.core.cache import caches as _caches
from django.core.signals import setting_changed

_HERE = "django.core.cache.backends."
#: Django's backends whose clients hold no connection of their own.
_WITHOUT_CONNECTION = tuple(_HERE + name for name in ("locmem.", "dummy.", "filebased.", "db."))


#: Django has no public way to ask which clients there are, without making them.
caches: Any = _caches


class _Kept(threading.local):
    """A thread's clients, by alias, and the settings that they were made from."""

    clients: dict[str, Any] = {}
    made_from: tuple[str, ...] | None = None


class _Current:
    aliases: tuple[str, ...] | None = None


_kept = _Kept()


def aliases() -> tuple[str, ...]:
    """The caches that are worth keeping."""
    found = _Current.aliases
    if found is None:
        found = _Current.aliases = tuple(
            alias
            for alias, options in settings.CACHES.items()
            if not str(options.get("BACKEND", "")).startswith(_WITHOUT_CONNECTION)
        )
    return found


def restore() -> None:
    """Put the thread's clients into the running context."""
    if aliases() and _kept.made_from is _Current.aliases:
        for alias, client in _kept.clients.items():
            caches[alias] = client


def close(*, signalled: bool = False) -> None:
    """Do what Django does at a request's end, and remember the clients that it has used.

    :param signalled: Django has closed them already.
    """
    names = aliases()
    if not names:
        return
    held = caches._connections
    used = {alias: getattr(held, alias) for alias in names if hasattr(held, alias)}
    if not signalled:
        for client in used.values():
            client.close()
    _kept.clients, _kept.made_from = used, names


def _forget(*, setting: str, **_: object) -> None:
    if setting == "CACHES":
        _Current.aliases = None


setting_changed.connect(_forget, dispatch_uid="seaway.http.caches")
