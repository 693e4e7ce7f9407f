"""Cookies and sessions in the scope."""

import datetime as dt
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.test import TestCase, override_settings

from seaway.consumers import AsyncConsumer, AsyncHttpConsumer, WebsocketConsumer
from seaway.sessions import CookieMiddleware, SessionMiddleware, SessionMiddlewareStack
from seaway.testing import HttpCommunicator, WebsocketCommunicator

#: Stands for a receive and a send that are not used.
NOBODY: Any = None


def morsel(message: Any, key: str = "key") -> Any:
    (name, value) = message["headers"][-1]
    assert name == b"Set-Cookie"
    return SimpleCookie(value.decode())[key]


async def test_cookies_are_in_the_scope() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["cookies"])

    headers = [(b"cookie", b"a=1; b=two"), (b"cookie", b"c=3")]
    await CookieMiddleware(app)({"type": "http", "headers": headers}, NOBODY, NOBODY)
    assert seen == [{"a": "1", "b": "two", "c": "3"}]


async def test_cookies_need_headers() -> None:
    with pytest.raises(ValueError, match="headers key"):
        await CookieMiddleware(None)({"type": "channel"}, NOBODY, NOBODY)


def test_a_cookie_is_set_with_what_was_asked_for() -> None:
    message: dict[str, Any] = {}
    CookieMiddleware.set_cookie(message, "key", "value")
    assert message["headers"] == [(b"Set-Cookie", b"key=value; Path=/; SameSite=lax")]
    CookieMiddleware.set_cookie(
        message, "key", "value", max_age=10, secure=True, httponly=True, samesite="strict"
    )
    cookie = morsel(message)
    assert cookie["max-age"] == "10"
    assert cookie["secure"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "strict"
    assert len(message["headers"]) == 2


@pytest.mark.parametrize("zone", [None, dt.UTC])
def test_a_cookie_may_expire_at_a_time(zone: Any) -> None:
    message: dict[str, Any] = {}
    when = dt.datetime.now(dt.UTC).replace(tzinfo=zone) + dt.timedelta(seconds=100)
    CookieMiddleware.set_cookie(message, "key", "value", expires=when)
    assert 90 <= int(morsel(message)["max-age"]) <= 101


def test_a_cookie_is_deleted() -> None:
    message: dict[str, Any] = {}
    CookieMiddleware.delete_cookie(message, "key")
    assert morsel(message)["expires"] == "Thu, 01 Jan 1970 00:00:00 GMT"


def test_a_wrong_samesite_is_an_error_of_either_kind() -> None:
    with pytest.raises(AssertionError, match="samesite"):
        CookieMiddleware.set_cookie({}, "key", "value", samesite="Sometimes")
    with pytest.raises(ValueError, match="samesite"):
        CookieMiddleware.set_cookie({}, "key", "value", samesite="Sometimes")


async def test_sessions_need_cookies() -> None:
    with pytest.raises(ValueError, match="No cookies in scope"):
        await SessionMiddleware(None)({"type": "http"}, NOBODY, NOBODY)


class Counting(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        session = self.scope["session"]
        count = await session.aget("count", 0) + 1
        if body != b"look":
            await session.aset("count", count)
        await self.send_response(500 if body == b"fail" else 200, str(count).encode())


class Plain(AsyncConsumer):
    async def http_request(self, message: Any) -> None:
        await self.send({"type": "http.response.start", "status": 200, "headers": []})
        await self.send({"type": "http.response.body", "body": b""})


def cookie_of(response: Any) -> str | None:
    for name, value in response["headers"]:
        if name == b"Set-Cookie":
            return SimpleCookie(value.decode())[settings.SESSION_COOKIE_NAME].value
    return None


async def request(body: bytes = b"", key: str | None = None, app: Any = Counting) -> Any:
    header = f"{settings.SESSION_COOKIE_NAME}={key}".encode()
    headers = [(b"cookie", header)] if key else []
    stack = SessionMiddlewareStack(app.as_asgi())
    return await HttpCommunicator(stack, "POST", "/", body, headers).get_response(timeout=10)


class SessionTests(TestCase):
    async def test_a_changed_session_is_saved_and_its_cookie_set(self) -> None:
        first = await request()
        key = cookie_of(first)
        assert key
        assert (await SessionStore(key).aload())["count"] == 1
        assert (await request(key=key))["body"] == b"2"

    async def test_an_unchanged_session_sets_no_cookie(self) -> None:
        assert cookie_of(await request(b"look")) is None

    async def test_a_failed_response_saves_nothing(self) -> None:
        key = cookie_of(await request())
        await request(b"fail", key)
        assert (await SessionStore(key).aload())["count"] == 1

    async def test_a_cookie_whose_session_has_gone_is_deleted(self) -> None:
        assert cookie_of(await request(b"look", key="x" * 32)) == ""

    @override_settings(SESSION_SAVE_EVERY_REQUEST=True)
    async def test_every_request_may_save(self) -> None:
        key = cookie_of(await request())
        assert cookie_of(await request(key=key, app=Plain)) == key

    @override_settings(SESSION_EXPIRE_AT_BROWSER_CLOSE=True)
    async def test_a_session_may_end_with_the_browser(self) -> None:
        response = await request()
        assert not any(b"Max-Age" in value for _, value in response["headers"])

    async def test_a_websocket_has_its_session_and_saves_it_itself(self) -> None:
        class Remembering(WebsocketConsumer):
            def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
                self.scope["session"]["said"] = text_data
                if text_data == "save":
                    self.scope["session"].save()
                self.send(text_data=self.scope["session"].session_key or "")

        app = SessionMiddlewareStack(Remembering.as_asgi())
        communicator = WebsocketCommunicator(app, "/")
        await communicator.connect()
        await communicator.send_to(text_data="hello")
        assert await communicator.receive_from() == ""
        await communicator.send_to(text_data="save")
        key = await communicator.receive_from()
        assert await SessionStore(key).aload() == {"said": "save"}
        await communicator.disconnect()

    async def test_connections_at_the_same_time_have_sessions_of_their_own(self) -> None:
        class Path(WebsocketConsumer):
            def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
                self.send(text_data=self.scope["path"])

        app = SessionMiddlewareStack(Path.as_asgi())
        one, two = WebsocketCommunicator(app, "/one"), WebsocketCommunicator(app, "/two")
        await one.connect()
        await two.connect()
        await two.send_to(text_data="x")
        await one.send_to(text_data="x")
        assert (await one.receive_from(), await two.receive_from()) == ("/one", "/two")
        assert one.scope is not two.scope
        await one.disconnect()
        await two.disconnect()
