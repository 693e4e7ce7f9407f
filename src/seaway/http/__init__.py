"""Plain Django over ASGI, in one thread hop (see docs/reference/http.md).

What lives here: how Django's request and response cycle runs on an event loop and a bounded pool.
What must not: topics, connections, transports.
"""

from __future__ import annotations

from typing import Any

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

from seaway.http.application import HttpApplication

__all__ = ["HttpApplication", "get_http_application", "with_static_files"]


def get_http_application(*, static_files: bool = False) -> Any:
    """The ASGI application for ``http`` scopes. Django has to be set up.

    :param static_files: answer ``STATIC_URL`` from the finders, for development only.
    """
    application = HttpApplication()
    return with_static_files(application) if static_files else application


def with_static_files(application: Any) -> Any:
    """Answer ``STATIC_URL`` from the finders and pass everything else on, any scope type."""
    return ASGIStaticFilesHandler(application)
