"""Plain Django over ASGI.

What lives here: Django's own ASGI handler, with or without its static files handler. It makes the
thread hops that Django makes; nothing here is faster than Django's ``get_asgi_application``.
What must not: topics, connections, transports.
"""

from __future__ import annotations

from typing import Any

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application


def get_http_application(*, static_files: bool = False) -> Any:
    """The ASGI application for ``http`` scopes.

    :param static_files: answer ``STATIC_URL`` from the finders, for development only.
    """
    application = get_asgi_application()
    return with_static_files(application) if static_files else application


def with_static_files(application: Any) -> Any:
    """Answer ``STATIC_URL`` from the finders and pass everything else on, any scope type."""
    return ASGIStaticFilesHandler(application)
