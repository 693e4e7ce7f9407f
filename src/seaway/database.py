"""Django's databases as places for a layer: ``LAYER = "django://default"``.

What lives here: from a name in ``DATABASES`` to an address of the PostgreSQL engine.
What must not: connecting.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db import connections

from seaway.exceptions import ConfigurationError

_PREFIX = "django://"
#: How Django's settings of a database are called by libpq.
_NAMES = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}


def named_database(url: str) -> str | None:
    """The name that an address means; None for one that is no ``django://``."""
    if not url.lower().startswith(_PREFIX):
        return None
    return url[len(_PREFIX) :].rstrip("/") or "default"


def engine_address(url: str) -> str:
    """An address as engines take it: ``django://`` ones are resolved, others as they are.

    :raises ConfigurationError: see `database_url`.
    """
    alias = named_database(url)
    return url if alias is None else database_url(alias)


def database_url(alias: str) -> str:
    """The address of a database of Django's.

    Of ``OPTIONS``, what libpq knows counts: ``sslmode``, ``service`` and their like.

    :raises ConfigurationError: there is no such database, or it is no PostgreSQL.
    """
    where = f"LAYER: {_PREFIX}{alias}"
    if alias not in connections.settings:
        known = ", ".join(sorted(connections.settings))
        raise ConfigurationError(f"{where}: DATABASES has no {alias!r}; it has: {known}.")
    settings: dict[str, Any] = connections.settings[alias]
    if connections[alias].vendor != "postgresql":
        raise ConfigurationError(f"{where} is no PostgreSQL, but {settings['ENGINE']}.")
    try:
        from psycopg.pq import Conninfo
    except ImportError as error:
        raise ConfigurationError(
            f"{where} needs psycopg 3: pip install seaway[postgres] ({error})."
        ) from error
    known_to_libpq = {option.keyword.decode() for option in Conninfo.get_defaults()}
    given = {name: settings.get(key) for key, name in _NAMES.items()}
    options = settings.get("OPTIONS", {})
    given.update({name: value for name, value in options.items() if name in known_to_libpq})
    return "postgresql:///?" + urlencode(
        {name: str(value) for name, value in given.items() if value not in ("", None)},
    ).replace("+", "%20")
