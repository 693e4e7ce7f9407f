"""System checks: what is wrong with the settings and the topics before a client finds out.

What lives here: one function per subject, and every check id; docs/reference/checks.md lists them.
What must not: anything that repairs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's own names

from seaway import conf
from seaway.channel_layers import channel_layers
from seaway.exceptions import ConfigurationError
from seaway.layers.base import History
from seaway.origin import entry_problem
from seaway.topics.registry import registry
from seaway.topics.topic import Topic

UNKNOWN_OPTION = "seaway.E001"
WRONG_OPTION = "seaway.E002"
WRONG_PATH = "seaway.E003"
WRONG_ORIGIN = "seaway.E004"
WEAK_KEY = "seaway.E005"
WRONG_CHANNEL_LAYER = "seaway.E006"
WRONG_OUTBOX = "seaway.E008"
WRONG_ROUTE = "seaway.E010"
DUPLICATE_ROUTE = "seaway.E011"
WRONG_JOIN = "seaway.E012"
WRONG_HISTORY = "seaway.E013"
WRONG_ACTION = "seaway.E014"
NO_JOIN = "seaway.W015"
UNMARKED_OVERRIDE = "seaway.W016"
APP_ORDER = "seaway.W020"

#: Fewer characters than these can be guessed from outside, given time.
SHORTEST_KEY = 32

Check = Callable[..., list[CheckMessage]]


def check_settings(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """E001 unknown option, E002 wrong value, E003 wrong PATH, E004 wrong origin, E005 weak
    key, E008 wrong outbox."""
    raw = getattr(settings, "SEAWAY", {})
    found: list[CheckMessage] = []
    for problem in conf.problems(raw):
        code = WRONG_PATH if problem.key == "PATH" else WRONG_OPTION
        if problem.hint is not None:
            code = UNKNOWN_OPTION
        found.append(Error(problem.message, hint=problem.hint, id=code))
    if not found:
        for entry in conf.seaway_settings().ALLOWED_ORIGINS or ():
            reason = entry_problem(entry)
            if reason is not None:
                message = f"SEAWAY['ALLOWED_ORIGINS']: {entry!r} {reason}."
                found.append(Error(message, id=WRONG_ORIGIN))
        found.extend(_about_keys(conf.seaway_settings().PUBLISH_KEYS))
        found.extend(_about_outbox(conf.seaway_settings().OUTBOX))
    return found


def _about_keys(keys: Sequence[str]) -> Iterator[CheckMessage]:
    """Names a key by its place: the message may end up in a log."""
    for number, key in enumerate(keys, start=1):
        if len(key) < SHORTEST_KEY or not (key.isascii() and key.isprintable()) or " " in key:
            yield Error(
                f"SEAWAY['PUBLISH_KEYS']: key {number} is too weak, or HTTP cannot carry it.",
                hint=f"Use at least {SHORTEST_KEY} random printable ASCII characters without "
                "spaces, as from secrets.token_urlsafe(32).",
                id=WEAK_KEY,
            )


def _about_outbox(aliases: Sequence[str]) -> Iterator[CheckMessage]:
    for alias in aliases:
        if alias not in settings.DATABASES:
            known = ", ".join(sorted(settings.DATABASES))
            message = f"SEAWAY['OUTBOX']: DATABASES has no {alias!r}; it has: {known}."
            yield Error(message, id=WRONG_OUTBOX)
    if aliases and not apps.is_installed("seaway.outbox"):
        yield Error(
            "SEAWAY['OUTBOX'] is set, but its tables are not there.",
            hint="Add 'seaway.outbox' to INSTALLED_APPS, and run manage.py migrate.",
            id=WRONG_OUTBOX,
        )


def check_channel_layers(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """E006: an entry of CHANNEL_LAYERS of which no channel layer can be made."""
    found: list[CheckMessage] = []
    for alias in channel_layers:
        try:
            channel_layers.make_backend(alias)
        except ConfigurationError as exc:
            found.append(Error(f"CHANNEL_LAYERS: {exc}.", id=WRONG_CHANNEL_LAYER))
    return found


def check_app_order(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """W020: the runserver command of the app that comes first is the one that runs."""
    names = [config.name for config in apps.get_app_configs()]
    static = "django.contrib.staticfiles"
    if static in names and "seaway" in names and names.index(static) < names.index("seaway"):
        return [
            Warning(
                f"'seaway' comes after {static!r} in INSTALLED_APPS, whose runserver has no "
                "realtime.",
                hint=f"Put 'seaway' before {static!r}.",
                id=APP_ORDER,
            )
        ]
    return []


def check_topics(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """E010 to W016: each registered topic, and collisions among them."""
    found: list[CheckMessage] = []
    shapes: dict[str, type[Topic]] = {}
    for topic in registry:
        found.extend(_about(topic))
        if topic.get_route().problem is None:
            first = shapes.setdefault(topic.get_route().shape, topic)
            if first is not topic:
                found.append(
                    Error(
                        f"Route {topic.route!r} of {_name(topic)} leads to {_name(first)}, which "
                        "has the same route.",
                        hint="Change one of the two.",
                        obj=topic,
                        id=DUPLICATE_ROUTE,
                    )
                )
    return found


def _about(topic: type[Topic]) -> Iterator[CheckMessage]:
    route = topic.get_route()
    if route.problem is not None:
        yield Error(route.problem, obj=topic, id=WRONG_ROUTE)
    join = getattr(topic, "join", None)
    if join is None:
        yield Warning(
            f"{_name(topic)} has no join method, so nobody may join it.",
            hint="Define join(self, ...): it authorises, and returns what a newcomer needs.",
            obj=topic,
            id=NO_JOIN,
        )
    elif route.problem is None:
        yield from _about_join(topic, join, route.parameters)
    if topic.history is not None and not isinstance(topic.history, History):
        message = f"history of {_name(topic)} has to be a History or None, not {topic.history!r}."
        yield Error(message, obj=topic, id=WRONG_HISTORY)
    for action in topic.actions.values():
        if action.problem is not None:
            yield Error(action.problem, obj=topic, id=WRONG_ACTION)
        elif action.name == "join" or hasattr(Topic, action.name):
            message = f"Action {action.owner}.{action.name} has the name of a method of Topic."
            yield Error(message, hint="Name it differently.", obj=topic, id=WRONG_ACTION)
    yield from _about_overrides(topic)


def _about_join(
    topic: type[Topic], join: Callable[..., Any], parameters: tuple[str, ...]
) -> Iterator[CheckMessage]:
    try:
        inspect.signature(join).bind(None, **dict.fromkeys(parameters))
    except TypeError as exc:
        takes = ", ".join(("self", *parameters))
        yield Error(
            f"join of {_name(topic)} does not fit route {topic.route!r}: {exc}.",
            hint=f"Write join({takes}).",
            obj=topic,
            id=WRONG_JOIN,
        )


def _about_overrides(topic: type[Topic]) -> Iterator[CheckMessage]:
    inherited = {name for base in topic.__mro__[1:] for name in getattr(base, "actions", ())}
    for name in sorted(inherited - set(topic.actions)):
        if inspect.isfunction(inspect.getattr_static(topic, name)):
            yield Warning(
                f"{_name(topic)}.{name} overrides an action, but is none itself.",
                hint="Mark it with @action, or name it differently.",
                obj=topic,
                id=UNMARKED_OVERRIDE,
            )


def _name(topic: type[Topic]) -> str:
    return f"{topic.__module__}.{topic.__qualname__}"


#: What `seaway.apps` registers.
CHECKS: tuple[Check, ...] = (
    check_settings,
    check_channel_layers,
    check_app_order,
    check_topics,
)
