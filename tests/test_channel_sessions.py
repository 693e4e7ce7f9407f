"""Channel sessions: one for each channel, in whatever keeps the project's sessions."""

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from seaway.channel_sessions import channel_session

ENGINES = [f"django.contrib.sessions.backends.{name}" for name in ("db", "cached_db", "cache")]


@pytest.mark.django_db
@pytest.mark.parametrize("engine", ENGINES)
def test_what_one_process_keeps_another_finds(engine: str) -> None:
    with override_settings(SESSION_ENGINE=engine):
        here = channel_session("specific.a!1")
        here["room"] = "bar"
        here.save()
        assert channel_session("specific.a!1")["room"] == "bar"
        assert "room" not in channel_session("specific.a!2")
        channel_session("specific.a!1").flush()
        assert "room" not in channel_session("specific.a!1")


@pytest.mark.django_db
def test_it_ends_by_itself() -> None:
    session = channel_session("specific.a!1")
    assert 0 < session.get_expiry_age() <= 2 * 24 * 3600
    assert session.session_key is not None
    assert SessionStore().exists(session.session_key)


@override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies")
def test_a_channel_has_no_cookies() -> None:
    with pytest.raises(ImproperlyConfigured, match="no cookies"):
        channel_session("specific.a!1")
