"""request_started and request_finished: what Django does at both ends of a request, done directly.

What lives here: whether anybody but Django listens, and closing a response without the signal.
What must not: sending the signals when somebody does listen; the stacks do that.

Sending a signal to Django's own receivers costs a tenth of a small request's time, most of it
to find out that no connection and no cache client is there to be closed.
"""

from __future__ import annotations

import logging
from typing import Any

from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, reset_queries
from django.dispatch import Signal
from django.http.response import HttpResponseBase

logger = logging.getLogger("seaway.http")

_DJANGOS = frozenset({reset_queries, close_old_connections, close_caches, reset_urlconf})


class _Listeners:
    """Remembers what it found out about a signal until the signal's receivers change."""

    __slots__ = ("_djangos_only", "_seen", "_signal")

    def __init__(self, signal: Signal) -> None:
        self._signal = signal
        self._seen: list[Any] | None = None
        self._djangos_only = False

    def djangos_only(self, sender: type) -> bool:
        # The entries are tuples that never change: comparing two lists of them compares identities.
        receivers = self._signal.receivers
        if receivers != self._seen:
            synchronous, asynchronous = self._signal._live_receivers(sender)
            self._djangos_only = not asynchronous and _DJANGOS.issuperset(synchronous)
            self._seen = list(receivers)
        return self._djangos_only


_started = _Listeners(request_started)
_finished = _Listeners(request_finished)


def nobody_hears_start(sender: type) -> bool:
    """Whether only Django listens to request_started."""
    return _started.djangos_only(sender)


def nobody_hears_end(sender: type) -> bool:
    """Whether only Django listens to request_finished."""
    return _finished.djangos_only(sender)


def close_silently(response: Any) -> None:
    """``response.close()`` without request_finished; the caller does what Django would on it."""
    if type(response).close is not HttpResponseBase.close:
        response.close()
        return
    for closer in response._resource_closers:
        try:
            closer()
        except Exception:
            # As for Django, one failure must not keep the others from being closed.
            logger.debug("a response's closer has failed", exc_info=True)
    response._resource_closers.clear()
    response.closed = True
