"""What the servers of the tests run."""

import os
from pathlib import Path
from typing import Any

from seaway.asgi import get_asgi_application
from seaway.http import with_static_files

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.transports.fallback.site.settings")

application: Any = with_static_files(get_asgi_application())


def _note(line: str) -> None:
    with Path(os.environ["SITE_DIRECTORY"], "scopes").open("a") as file:
        file.write(f"{line}\n")


async def noted(scope: Any, receive: Any, send: Any) -> None:
    """The application, with a line for each of its scopes in the site's directory."""
    if scope["type"] != "lifespan":
        _note(" ".join([scope["type"], scope["http_version"], scope["scheme"], scope["path"]]))
    await application(scope, receive, send)
