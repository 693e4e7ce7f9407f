"""The application: finding it, and saying what is wrong with it in a readable way.

What lives here: import by ``module:attribute``, errors at start, the block printed on start.
What must not: processes, sockets, ASGI events.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import seaway
from seaway.exceptions import ConfigurationError
from seaway.server.asgi_types import Application

_HERE = str(Path(__file__).parent)

#: Where an application's lifespan leaves lines for the start block: ``state[DESCRIBE] = ["..."]``.
DESCRIBE = "seaway.describe"


class StartupFailed(ConfigurationError):
    """The application cannot be imported or its startup failed.

    :param details: the traceback, as far as it runs through the application's own code; may be "".
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


def load(path: str) -> Application:
    """The application called ``module:attribute``; ``:application`` may be left out.

    Raises `StartupFailed`.
    """
    name, _, attribute = path.partition(":")
    if not name:
        raise StartupFailed(f"{path!r} is not MODULE:ATTRIBUTE.")
    found: Any = _import(name)
    for part in (attribute or "application").split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise StartupFailed(f"The module {name} has no {attribute or 'application'}.") from None
    if not callable(found):
        raise StartupFailed(f"{path} is not an ASGI application: it is not callable.")
    return cast("Application", found)


def _import(name: str) -> Any:
    if "" not in sys.path and (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            message = f"There is no module {error.name} (asked for: {name}, from {Path.cwd()})."
            raise StartupFailed(message) from None
        raise failure(f"Cannot import {name}", error) from error
    except Exception as error:
        raise failure(f"Cannot import {name}", error) from error


def failure(what: str, error: BaseException) -> StartupFailed:
    """A `StartupFailed` that says ``what`` went wrong by which error, in one line."""
    summary = traceback.format_exception_only(error)[-1].strip().partition("\n")[0]
    return StartupFailed(f"{what}: {summary}", user_traceback(error))


def user_traceback(error: BaseException) -> str:
    """The error's traceback without the frames of Python's importer and of this server."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen")
        and str(Path(frame.filename).parent) != _HERE
        and "importlib" not in Path(frame.filename).parts
    ]
    if not frames:
        return ""
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames)]
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()


def name_of(app: Application) -> str:
    """What an application calls itself, for one that came as an object."""
    thing: Any = app if hasattr(app, "__qualname__") else type(app)
    return f"{thing.__module__}.{thing.__qualname__}"


def hints(app: Application) -> list[str]:
    """Lines that a person who starts this application should read."""
    if type(app).__module__ != "django.core.handlers.asgi":
        return []
    return [
        "hint: this is Django's own ASGI application, which serves no topics;",
        "      use seaway.asgi.get_asgi_application() in your asgi.py.",
    ]


@dataclasses.dataclass(frozen=True, slots=True)
class Announcement:
    """What is known once the server serves: the start block."""

    urls: Sequence[str]
    workers: int
    loop: str
    application: str
    details: Sequence[str] = ()

    def __str__(self) -> str:
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        lines = [
            f"Seaway {seaway.__version__}",
            *(f"  {url}" for url in self.urls),
            f"  application: {self.application}",
            f"  {workers}, {self.loop}, Python {sys.version.split()[0]}",
            *(f"  {line}" for line in self.details),
        ]
        return "\n".join(lines)


Announce = Callable[[Announcement], None]


def print_announcement(announcement: Announcement) -> None:
    """Print the start block on stdout, at once even when stdout is a pipe."""
    sys.stdout.write(f"{announcement}\n")
    sys.stdout.flush()
