"""Errors in one line, without secrets."""

import psycopg
import pytest

from seaway.exceptions import ConfigurationError, LayerUnavailable
from seaway.layers.postgres.troubles import one_line, start_error


@pytest.mark.parametrize(
    "text",
    [
        "no route to postgres://ann:secret@host/db",
        "missing \"=\" in 'password=secret host=h'",
        "in password = 'se\\'cret secret' and more",
    ],
)
def test_a_password_is_not_repeated(text: str) -> None:
    assert "secret" not in one_line(text)


def test_one_line_is_one_line_and_not_too_long() -> None:
    assert one_line("a\n\tb") == "a b"
    assert len(one_line("x" * 1000)) == 300


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('FATAL: password authentication failed for user "ann"', "the user or the password"),
        ("fe_sendauth: no password supplied", "the user or the password"),
        ('FATAL: database "shop" does not exist', "no database shop. Create it"),
        ('FATAL: role "ann" does not exist', "no user ann"),
        ('FATAL: no pg_hba.conf entry for host "::1"', "pg_hba.conf"),
        ('failed to resolve host "nowhere": [Errno -2]', "host of PostgreSQL is not known"),
        ("server does not support SSL, but SSL was required", "sslmode"),
    ],
)
def test_what_the_operator_has_to_change_is_said(text: str, words: str) -> None:
    error = start_error(psycopg.OperationalError(text), "host:5432/shop")
    assert isinstance(error, ConfigurationError)
    assert words in str(error)
    assert "host:5432/shop" in str(error) or "LAYER" in str(error)


def test_a_server_that_is_away_is_not_the_operators_fault() -> None:
    error = start_error(psycopg.OperationalError("Connection refused"), "host:5432/shop")
    assert isinstance(error, LayerUnavailable)
    assert "Connection refused" in str(error)
