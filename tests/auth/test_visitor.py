"""Who is connecting: from the cookie to the user, as a request would find it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.test import Client, override_settings
from django.utils import timezone

from seaway.auth import Nobody, Visitor


def scope(*cookies: bytes) -> dict[str, Any]:
    return {"type": "websocket", "headers": [(b"cookie", value) for value in cookies]}


@pytest.mark.parametrize(
    ("cookies", "key"),
    [
        ([], None),
        ([b"theme=dark"], None),
        ([b"sessionid="], None),
        ([b"theme=dark; sessionid=abcdefgh12345678"], "abcdefgh12345678"),
        ([b"theme=dark", b"sessionid=abcdefgh12345678"], "abcdefgh12345678"),
        ([b"\xff\xfe; sessionid=abcdefgh12345678"], "abcdefgh12345678"),
    ],
)
def test_the_session_cookie_is_found(cookies: list[bytes], key: str | None) -> None:
    visitor = Visitor.from_scope(scope(*cookies))
    assert visitor.session_key == key
    assert visitor.known is (key is not None)


def test_the_cookie_has_the_name_that_the_settings_say() -> None:
    with override_settings(SESSION_COOKIE_NAME="sid"):
        assert Visitor.from_scope(scope(b"sid=abcdefgh12345678")).session_key == "abcdefgh12345678"


def test_without_a_cookie_there_is_nobody_and_no_query() -> None:
    """This test has no access to the database, and needs none."""
    identity = Visitor().identify()
    assert identity.user == AnonymousUser()
    assert identity.session is not None
    assert identity.session.session_key is None


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password="tide")


@pytest.fixture
def visitor(ann: User) -> Visitor:
    """Ann's browser, after she has logged in by Django's own means."""
    client = Client()
    assert client.login(username="ann", password="tide")
    cookie = client.cookies["sessionid"].value
    return Visitor.from_scope(scope(f"sessionid={cookie}".encode()))


@pytest.mark.django_db
class TestWithACookie:
    def test_the_session_leads_to_the_user(self, ann: User, visitor: Visitor) -> None:
        identity = visitor.identify()
        assert identity.user == ann
        assert visitor.load_user() == ann
        assert identity.session is not None
        assert identity.session.session_key == visitor.session_key

    def test_a_log_out_ends_it(self, visitor: Visitor) -> None:
        Session.objects.all().delete()
        identity = visitor.identify()
        assert identity.user == AnonymousUser()
        assert identity.session is not None
        assert identity.session.session_key is None

    def test_an_expired_session_ends_it(self, visitor: Visitor) -> None:
        Session.objects.update(expire_date=timezone.now() - dt.timedelta(seconds=1))
        assert visitor.load_user() == AnonymousUser()

    def test_a_new_password_ends_it(self, ann: User, visitor: Visitor) -> None:
        ann.set_password("ebb")
        ann.save()
        assert visitor.load_user() == AnonymousUser()

    def test_a_deactivated_user_is_nobody(self, ann: User, visitor: Visitor) -> None:
        ann.is_active = False
        ann.save()
        assert visitor.load_user() == AnonymousUser()

    def test_an_invented_cookie_is_nobody(self) -> None:
        identity = Visitor("invented" * 4).identify()
        assert identity.user == AnonymousUser()
        assert identity.session is not None
        assert identity.session.session_key is None

    def test_a_visitor_with_a_session_but_no_log_in_keeps_the_session(self) -> None:
        session = SessionStore()
        session["cart"] = [1]
        session.save()
        identity = Visitor(session.session_key).identify()
        assert identity.user == AnonymousUser()
        assert identity.session is not None
        assert identity.session["cart"] == [1]
        assert identity.session.session_key == session.session_key

    def test_a_rotated_secret_key_does_not_take_the_session_from_the_browser(
        self, ann: User, visitor: Visitor
    ) -> None:
        """A request would change the session's key and tell the browser; we cannot tell it."""
        with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["tests-only"]):
            assert visitor.load_user() == ann
            assert visitor.load_user() == ann
            assert Session.objects.filter(session_key=visitor.session_key).exists()


@override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies")
@pytest.mark.django_db
def test_sessions_in_signed_cookies_work(ann: User) -> None:
    client = Client()
    user = authenticate(username="ann", password="tide")
    assert user is not None
    client.force_login(user)
    cookie = client.cookies["sessionid"].value
    assert Visitor.from_scope(scope(f"sessionid={cookie}".encode())).load_user() == ann


@pytest.mark.django_db
def test_without_the_auth_app_everyone_is_nobody() -> None:
    session = SessionStore()
    session.save()
    apps = ["seaway", "django.contrib.contenttypes", "django.contrib.sessions"]
    with override_settings(INSTALLED_APPS=apps):
        identity = Visitor(session.session_key).identify()
    assert isinstance(identity.user, Nobody)
    assert not identity.user.is_authenticated
    assert identity.session is not None
    assert identity.session.session_key == session.session_key


def test_without_the_sessions_app_there_is_no_session_and_no_query() -> None:
    with override_settings(INSTALLED_APPS=["seaway"]):
        visitor = Visitor("abcdefgh12345678")
        assert not visitor.known
        identity = visitor.identify()
    assert isinstance(identity.user, Nobody)
    assert str(identity.user) == "Nobody"
    assert identity.session is None
