"""The settings: one typed object from ``settings.SEAWAY``, and the process's one layer home.

What lives here: every option with its type, default and documentation (the settings reference and
the system checks are made from them), and the layer that they describe.
What must not: anything that reads an option; that imports `seaway_settings` from here.
"""

from __future__ import annotations

import difflib
import hashlib
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_type_hints

import msgspec
from django.conf import settings as django_settings
from django.core.signals import setting_changed
from msgspec import Meta

from seaway.database import engine_address, named_database
from seaway.exceptions import ConfigurationError
from seaway.layers.base import Layer
from seaway.layers.engines import LEGAL_NAMESPACE, encrypted, make_layer
from seaway.layers.home import LayerHome


def option(text: str, **limits: Any) -> Meta:
    """What an option is for, in Markdown, and its limits as msgspec knows them."""
    return Meta(description=" ".join(text.split()), **limits)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the ``SEAWAY`` setting. A new option is one field here."""

    LAYER: Annotated[
        str,
        option("""What joins the processes, as a URL. `local://` is a broker process on this machine
        that the server starts by itself; `postgres://user:password@host/database` is a PostgreSQL,
        and `django://default` the one that `DATABASES` has under that name; `memory://` reaches no
        other process and is for tests."""),
    ] = "local://"
    PATH: Annotated[
        str,
        option(
            "The URL path at which clients connect. Starts and ends with a slash.",
            pattern=r"^/(?:[!-~]*/)?$",
        ),
    ] = "/seaway/"
    ALLOWED_ORIGINS: Annotated[
        list[str] | None,
        option("""Whose pages may connect: origins such as `"https://example.com"` or
        `"https://*.example.com"`, host names as in `ALLOWED_HOSTS`, or `"*"` for everyone. With
        `None`, `ALLOWED_HOSTS` decides; where that holds `"*"`, a page may connect to the host that
        it came from."""),
    ] = None
    MAX_JOINS: Annotated[
        int, option("How many topics one connection may have joined at a time.", ge=1)
    ] = 100
    NAMESPACE: Annotated[
        str,
        option(
            """Keeps projects apart that share a Redis, NATS or PostgreSQL: the first part of every
            key, subject and row. The same on all machines of one project. The `local` engine tells
            projects on one machine apart by itself.""",
            pattern=LEGAL_NAMESPACE,
        ),
    ] = "seaway"
    MAX_REQUESTS: Annotated[
        int,
        option(
            """How many unanswered requests one connection may have. Over it, the server reads
            no more from that connection until it has answered.""",
            ge=1,
        ),
    ] = 64
    MAX_EVENT_BYTES: Annotated[
        int, option("How many bytes of JSON one published event may have.", ge=256)
    ] = 1024 * 1024
    THREADS: Annotated[
        int,
        option(
            """How many threads run synchronous views, `join` methods and actions, and load users.
            It bounds the database connections of a server process, too.""",
            ge=1,
        ),
    ] = 8
    HELD_THREADS: Annotated[
        int,
        option(
            """How many further threads may be held up by one request each: by a client that reads a
            streaming response slowly, or by an asynchronous view that has used the database and
            goes on. Such a thread leaves its place among `THREADS` to another. Over it, requests of
            that kind keep their places, and the others wait.""",
            ge=0,
        ),
    ] = 64
    PING_SECONDS: Annotated[
        float,
        option(
            "Seconds of silence after which the server pings a client, and a client the server.",
            gt=0,
        ),
    ] = 25.0
    OUTBOX: Annotated[
        list[str],
        option("""Names of databases in `DATABASES` whose transactions keep their events in a table,
        from which they are relayed after the commit: a process that is killed in between loses
        none. Needs `"seaway.outbox"` in `INSTALLED_APPS`. Not needed for the database of
        `LAYER = "django://…"`."""),
    ] = []
    ENCRYPTION_KEYS: Annotated[
        list[str],
        option("""Secrets with which events, messages and what members say of themselves are
        encrypted before the engine gets them. The first one encrypts, all of them decrypt: to
        change it, add the new one at the end everywhere, then move it to the front, and drop the
        old one when what it encrypted is gone. Needs the extra `seaway[encryption]`. While the list
        is empty, nothing is encrypted."""),
    ] = []
    PUBLISH_KEYS: Annotated[
        list[str],
        option("""Secrets with which programs in any language may publish by HTTP POST, as
        `Authorization: Bearer`. While the list is empty, nobody can."""),
    ] = []


class Option(NamedTuple):
    """One line of the settings reference."""

    name: str
    type: str
    default: Any
    text: str


class Problem(NamedTuple):
    """What is wrong with one key of ``SEAWAY``; ``key`` is empty when it is the whole."""

    key: str
    message: str
    hint: str | None = None


_HINTS = get_type_hints(Settings, include_extras=True)
_PATH_REASON = "it has to start and end with a slash, as in '/seaway/'"


def reference() -> list[Option]:
    """Every option, in the order of their definition, for the documentation."""
    return [
        Option(
            field.name,
            _name_of(_HINTS[field.name].__origin__),
            _default_of(field),
            _HINTS[field.name].__metadata__[0].description,
        )
        for field in msgspec.structs.fields(Settings)
    ]


def _name_of(kind: Any) -> str:
    """``int``, but ``list[str]``."""
    return str(kind) if get_args(kind) else str(kind.__name__)


def _default_of(field: msgspec.structs.FieldInfo) -> Any:
    factory = field.default_factory
    return field.default if factory is msgspec.NODEFAULT else factory()


def problems(raw: object) -> list[Problem]:
    """Everything that is wrong with a value of ``settings.SEAWAY``."""
    if not isinstance(raw, Mapping):
        return [Problem("", f"SEAWAY has to be a dict, not {type(raw).__name__}.")]
    found: list[Problem] = []
    for key, value in raw.items():
        if key not in _HINTS:
            close = difflib.get_close_matches(str(key).upper(), _HINTS, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(_HINTS)}."
            found.append(Problem(str(key), f"SEAWAY has no option {key!r}.", hint))
            continue
        try:
            msgspec.convert(value, _HINTS[key])
        except msgspec.ValidationError as exc:
            reason = str(exc)
            if key == "PATH" and isinstance(value, str):
                reason = _PATH_REASON
            shown = "wrong" if key.endswith("_KEYS") else repr(value)  # secrets stay unsaid
            found.append(Problem(key, f"SEAWAY[{key!r}] is {shown}: {reason}."))
    return found


class _Current:
    """What this process has made of the settings so far."""

    settings: Settings | None = None
    home: LayerHome | None = None
    #: The options from which `home` was made.
    home_of: tuple[str, int, str, tuple[str, ...]] | None = None
    lock = threading.RLock()


def seaway_settings() -> Settings:
    """The options in force.

    :raises ConfigurationError: ``settings.SEAWAY`` has an unknown key or a wrong value.
    """
    if _Current.settings is None:
        raw = getattr(django_settings, "SEAWAY", {})
        for problem in problems(raw):
            raise ConfigurationError(" ".join(filter(None, (problem.message, problem.hint))))
        _Current.settings = msgspec.convert(raw, Settings)
    return _Current.settings


def layer_home() -> LayerHome:
    """This process's one `LayerHome`, made from ``LAYER`` when it is first asked for.

    :raises ConfigurationError: the settings are wrong. An address that no engine knows is told by
        the home, when it makes the layer.
    """
    home = _Current.home
    if home is None:
        with _Current.lock:
            home = _Current.home
            if home is None:
                _Current.home_of = _layer_options()
                home = _Current.home = LayerHome(make_layer_of_settings)
    return home


def close_layer_home() -> None:
    """Disconnect this process's layer; the next `layer_home` makes another."""
    with _Current.lock:
        home, _Current.home = _Current.home, None
    if home is not None:
        home.close()


def _layer_options() -> tuple[str, int, str, tuple[str, ...]]:
    options = seaway_settings()
    keys = tuple(options.ENCRYPTION_KEYS)
    return options.LAYER, options.MAX_EVENT_BYTES, options.NAMESPACE, keys


def make_layer_of_settings() -> Layer:
    """A layer as the settings say, not yet started, apart from the process's own."""
    url, max_data, namespace, keys = _layer_options()
    layer = make_layer(engine_address(url), namespace=namespace, place=place())
    if keys:
        layer = encrypted(layer, keys)
    layer.max_data = max_data
    return layer


def namespace_within(alias: str) -> str | None:
    """The schema for events that are published inside transactions of this database, where that is
    the layer's own; None elsewhere."""
    options = seaway_settings()
    return options.NAMESPACE if named_database(options.LAYER) == alias else None


def place() -> str:
    """What keeps apart two projects, and two checkouts of one, on one machine.

    16 hexadecimal digits, derived from the project's directory (``BASE_DIR``, else that of the
    settings module) and the name of the settings module.
    """
    module = getattr(django_settings, "SETTINGS_MODULE", "") or ""
    base = getattr(django_settings, "BASE_DIR", None)
    if base is None:
        file = getattr(sys.modules.get(module), "__file__", None)
        base = Path(file).parent if file else Path.cwd()
    return hashlib.sha256(f"{Path(base).resolve()}\0{module}".encode()).hexdigest()[:16]


def _react(*, setting: str, **_: object) -> None:
    """Tests change settings (``override_settings``): what was made of the old ones goes."""
    if setting == "SEAWAY":
        _Current.settings = None
        if problems(getattr(django_settings, "SEAWAY", {})) or _Current.home_of != _layer_options():
            close_layer_home()


setting_changed.connect(_react, dispatch_uid="seaway.conf")
