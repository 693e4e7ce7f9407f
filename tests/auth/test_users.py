"""The user of a scope: finding, logging in, logging out; and the middleware for the first."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends.db import SessionStore
from django.test import AsyncClient, TestCase, override_settings

from seaway.auth import AuthMiddleware, AuthMiddlewareStack, get_user, login, logout
from seaway.consumers import AsyncWebsocketConsumer, WebsocketConsumer
from seaway.testing import WebsocketCommunicator

BACKEND = "django.contrib.auth.backends.ModelBackend"

#: Stands for a receive and a send that are not used.
NOBODY: Any = None


class Heard:
    """Counts what a signal says."""

    def __init__(self, signal: Any) -> None:
        self.signal = signal
        self.said: list[Any] = []

    def __enter__(self) -> "Heard":
        self.signal.connect(self.hear)
        return self

    def __exit__(self, *_: object) -> None:
        self.signal.disconnect(self.hear)

    def hear(self, sender: Any, request: Any, user: Any, **_: Any) -> None:
        self.said.append((sender, user, request))


@pytest.mark.parametrize("function", [get_user, logout, lambda scope: login(scope, None)])
async def test_without_a_session_nothing_works(function: Any) -> None:
    with pytest.raises(ValueError, match="Cannot find session in scope"):
        await function({})


class UserTests(TestCase):
    ann: User
    bob: User

    @classmethod
    def setUpTestData(cls) -> None:
        cls.ann = User.objects.create_user("ann", password="seaside")
        cls.bob = User.objects.create_user("bob")

    def setUp(self) -> None:
        self.session = SessionStore()
        self.session.create()
        self.scope: dict[str, Any] = {"session": self.session}

    async def check_logged_in(self, user: User) -> None:
        assert self.scope["user"] == user
        assert self.session[SESSION_KEY] == str(user.pk)
        assert self.session[BACKEND_SESSION_KEY] == BACKEND
        assert self.session[HASH_SESSION_KEY] == user.get_session_auth_hash()
        assert await get_user(self.scope) == user

    async def test_login_with_a_user(self) -> None:
        with Heard(user_logged_in) as heard:
            await login(self.scope, self.ann)
        await self.check_logged_in(self.ann)
        assert [(sender, user) for sender, user, _ in heard.said] == [(User, self.ann)]

    async def test_login_with_the_user_of_the_scope(self) -> None:
        self.scope["user"] = self.ann
        await login(self.scope, None)
        await self.check_logged_in(self.ann)

    async def test_login_without_a_user(self) -> None:
        with pytest.raises(ValueError, match="User must be passed"):
            await login(self.scope, None)

    async def test_another_user_gets_another_session(self) -> None:
        await login(self.scope, self.ann)
        key = self.session.session_key
        await login(self.scope, self.bob)
        await self.check_logged_in(self.bob)
        assert self.session.session_key != key

    async def test_receivers_get_a_request_with_what_the_scope_has(self) -> None:
        self.scope |= {
            "path": "/chat/",
            "client": ("192.0.2.1", 1),
            "headers": [(b"user-agent", b"x")],
        }
        with Heard(user_logged_in) as heard:
            await login(self.scope, self.ann)
        request = heard.said[0][2]
        assert (request.path, request.META["REMOTE_ADDR"]) == ("/chat/", "192.0.2.1")
        assert request.headers["User-Agent"] == "x"

    async def test_logout(self) -> None:
        await login(self.scope, self.ann)
        with Heard(user_logged_out) as heard:
            await logout(self.scope)
        assert isinstance(self.scope["user"], AnonymousUser)
        assert SESSION_KEY not in self.session
        assert [user for _, user, _ in heard.said] == [self.ann]
        assert isinstance(await get_user(self.scope), AnonymousUser)

    async def test_logout_of_nobody(self) -> None:
        with Heard(user_logged_out) as heard:
            await logout(self.scope)
        assert heard.said == []
        assert "user" not in self.scope

    async def test_a_user_whose_password_has_changed_is_nobody(self) -> None:
        await login(self.scope, self.ann)
        self.ann.set_password("another")
        await self.ann.asave()
        assert isinstance(await get_user(self.scope), AnonymousUser)

    async def test_a_rotated_key_keeps_the_session_of_a_websocket(self) -> None:
        await login(self.scope, self.ann)
        await self.session.asave()
        key = self.session.session_key
        with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
            assert await get_user({**self.scope, "type": "websocket"}) == self.ann
            assert self.session.session_key == key
            assert await get_user({**self.scope, "type": "http"}) == self.ann
            assert self.session.session_key != key

    async def test_the_stack_brings_the_user(self) -> None:
        class Who(AsyncWebsocketConsumer):
            async def connect(self) -> None:
                await self.accept()
                await self.send(text_data=str(self.scope["user"]))

        browser = AsyncClient()
        await browser.aforce_login(self.ann)
        cookie = f"{settings.SESSION_COOKIE_NAME}={browser.session.session_key}".encode()
        for headers, name in (([(b"cookie", cookie)], "ann"), ([], "AnonymousUser")):
            app = AuthMiddlewareStack(Who.as_asgi())
            communicator = WebsocketCommunicator(app, "/", headers=headers)
            await communicator.connect()
            assert await communicator.receive_from() == name
            await communicator.disconnect()

    async def test_a_sync_consumer_logs_in(self) -> None:
        class Login(WebsocketConsumer):
            def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
                user = User.objects.get(username=text_data)
                async_to_sync(login)(self.scope, user)
                self.scope["session"].save()
                self.send(text_data=self.scope["session"].session_key)

        communicator = WebsocketCommunicator(AuthMiddlewareStack(Login.as_asgi()), "/")
        await communicator.connect()
        await communicator.send_to(text_data="ann")
        key = await communicator.receive_from()
        assert (await SessionStore(key).aload())[SESSION_KEY] == str(self.ann.pk)
        await communicator.disconnect()


async def test_the_user_needs_a_session() -> None:
    with pytest.raises(ValueError, match="SessionMiddleware must be above"):
        await AuthMiddleware(None)({"type": "websocket"}, NOBODY, NOBODY)


async def test_a_user_who_is_not_loaded_yet_says_so() -> None:
    class Early(AuthMiddleware):
        async def resolve_scope(self, scope: Any) -> None:
            assert scope["user"].username

    with pytest.raises(ValueError, match="before it is ready"):
        await Early(None)({"type": "websocket", "session": None}, NOBODY, NOBODY)


async def test_a_subclass_may_authenticate_otherwise() -> None:
    class Token(AuthMiddleware):
        async def resolve_scope(self, scope: Any) -> None:
            scope["user"]._wrapped = User(username=scope["path"].strip("/"))

    class Who(AsyncWebsocketConsumer):
        async def connect(self) -> None:
            await self.accept(self.scope["user"].username)

    class Session:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.inner({**scope, "session": {}}, receive, send)

    communicator = WebsocketCommunicator(Session(Token(Who.as_asgi())), "/ann/")
    assert await communicator.connect() == (True, "ann")
    await communicator.disconnect()
