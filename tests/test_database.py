"""Databases of Django's as places for a layer."""

from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connections

from seaway.database import database_url, engine_address, named_database
from seaway.exceptions import ConfigurationError


@pytest.mark.parametrize(
    ("url", "alias"),
    [
        ("django://default", "default"),
        ("django://", "default"),
        ("DJANGO://events/", "events"),
        ("postgres://host/db", None),
        ("local://", None),
    ],
)
def test_an_address_names_a_database_or_not(url: str, alias: str | None) -> None:
    assert named_database(url) == alias


def test_other_addresses_are_left_alone() -> None:
    assert engine_address("redis://host/0?x=a%20b") == "redis://host/0?x=a%20b"


def test_what_libpq_knows_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "shop",
        "USER": "ann",
        "PASSWORD": "a b+c/ü&d",
        "HOST": "/run/postgresql",
        "PORT": "",
        "OPTIONS": {"sslmode": "require", "isolation_level": 2, "pool": True},
    }
    whole = {**connections.settings["default"], **settings}
    monkeypatch.setitem(connections.settings, "shop", whole)
    url = engine_address("django://shop")
    assert urlsplit(url).scheme == "postgresql"
    assert parse_qs(urlsplit(url).query) == {
        "dbname": ["shop"],
        "user": ["ann"],
        "password": ["a b+c/ü&d"],
        "host": ["/run/postgresql"],
        "sslmode": ["require"],
    }
    from seaway.layers.postgres.address import read_address

    address = read_address(url, "seaway")
    assert address.where == "/run/postgresql:5432/shop"


def test_a_database_that_is_no_postgresql_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="django://default is no PostgreSQL"):
        database_url("default")
    with pytest.raises(ConfigurationError, match="DATABASES has no 'other'; it has: default"):
        database_url("other")
