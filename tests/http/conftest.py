"""Fixtures: a Django site behind the real server."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import override_settings
from django.urls import clear_url_caches

from seaway import pool
from seaway.http import get_http_application
from tests.http import views
from tests.server.harness import CapturedLog, RunningServer, serving

STARTPROJECT = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

Site = Callable[..., contextlib.AbstractContextManager[RunningServer]]


@contextlib.contextmanager
def django_site(
    *,
    around: Callable[[Any], Any] = lambda app: app,
    threads: int = 4,
    held: int = 64,
    root_path: str = "",
    **settings: Any,
) -> Iterator[RunningServer]:
    """Serve `tests.http.urls` with Django's settings changed.

    :param around: wraps the ASGI application.
    """
    settings.setdefault("ROOT_URLCONF", "tests.http.urls")
    settings.setdefault("MIDDLEWARE", STARTPROJECT)
    settings.setdefault("SESSION_ENGINE", "django.contrib.sessions.backends.signed_cookies")
    options = {"LAYER": "memory://", "THREADS": threads, "HELD_THREADS": held}
    with override_settings(SEAWAY=options, **settings):
        clear_url_caches()
        with serving(around(get_http_application()), root_path=root_path) as server:
            yield server
    clear_url_caches()


@pytest.fixture
def site() -> Iterator[Site]:
    views.seen.clear()
    yield django_site
    pool._forget()


@pytest.fixture
def log() -> Iterator[CapturedLog]:
    """What Django's handlers and the server log as errors."""
    handler = CapturedLog()
    handler.setLevel(logging.ERROR)
    loggers = [logging.getLogger(name) for name in ("seaway", "django")]
    for logger in loggers:
        logger.addHandler(handler)
    yield handler
    for logger in loggers:
        logger.removeHandler(handler)
