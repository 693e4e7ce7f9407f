"""Which stack a request goes to: that of the view which its path resolves to.

What lives here: `Choice`. What must not: how views are run.

It is a guess by the path and ``ROOT_URLCONF`` alone. Where it is wrong, since middleware has set
``request.urlconf`` or rewritten the path, either stack serves the other kind of view as well, as
Django does: correctly, and with more hops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.conf.urls.i18n import is_language_prefix_patterns_used
from django.urls import Resolver404, URLResolver, get_resolver
from django.utils import translation

#: Paths whose kind is remembered, in projects that have views of both kinds.
_REMEMBERED = 4096


class Choice:
    """Knows whether a path belongs to an asynchronous view."""

    def __init__(self) -> None:
        self._resolver: URLResolver | None = None
        self._answer: Callable[[str], bool] = bool

    def is_async(self, path: str) -> bool:
        """Whether the view for ``path`` is a coroutine function; False where there is none."""
        resolver = get_resolver(settings.ROOT_URLCONF)
        if resolver is not self._resolver:
            try:
                self._answer = _answer(resolver)
            except Exception:  # noqa: BLE001 - a broken URLconf is for the request's own handling
                return False
            self._resolver = resolver
        return self._answer(path)


def _answer(resolver: URLResolver) -> Callable[[str], bool]:
    kinds = {iscoroutinefunction(callback) for callback in _callbacks(resolver.url_patterns)}
    if True not in kinds:
        return _never
    prefixed, _ = is_language_prefix_patterns_used(settings.ROOT_URLCONF)

    @lru_cache(_REMEMBERED)
    def resolve(path: str) -> bool:
        if not prefixed:
            return _resolves_to_async(resolver, path)
        # Patterns with a language prefix match in that language only: the one that LocaleMiddleware
        # would read from the path, or, without that middleware, the default.
        for language in (translation.get_language_from_path(path), settings.LANGUAGE_CODE):
            if language:
                with translation.override(language):
                    if _resolves_to_async(resolver, path):
                        return True
        return False

    return resolve


def _never(_path: str) -> bool:
    return False


def _resolves_to_async(resolver: URLResolver, path: str) -> bool:
    try:
        return iscoroutinefunction(resolver.resolve(path).func)
    except Resolver404:
        return False


def _callbacks(patterns: Iterable[Any]) -> Iterable[Any]:
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from _callbacks(pattern.url_patterns)
        else:
            yield pattern.callback
