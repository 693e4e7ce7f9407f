"""Memberships and who is behind them: users, sessions, and what is kept of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import PermissionDenied

from seaway import Topic, action
from seaway.auth import Visitor
from seaway.exceptions import Forbidden
from tests.topics.opening import opened

#: Every run of a method tidies the database connections of its thread, for which pytest-django
#: wants to be asked.
pytestmark = pytest.mark.django_db(transaction=True)


def logged_in(user: User) -> SessionStore:
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session


class Whoami(Topic):
    @action
    def sync_me(self) -> tuple[str, str | None]:
        return self.user.get_username(), self.session_key

    @action
    async def async_me(self) -> tuple[str, str | None]:
        return self.user.get_username(), self.session_key

    @action
    async def visits(self) -> int:
        assert self.session is not None
        return await self.session.aget("visits", 0)  # type: ignore[no-any-return]


def own_room() -> type[Topic]:
    class Room(Whoami):
        route = "rooms/<int:room>"
        presence = True

        def join(self, room: int) -> str:
            return str(self.user.get_username())

        async def member(self) -> dict[str, Any]:
            return {"name": self.user.get_username()}

    return Room


@pytest.mark.parametrize("me", ["sync_me", "async_me"])
@pytest.mark.usefixtures("one_thread")
async def test_log_out_takes_effect_with_the_next_call(me: str) -> None:
    own_room()
    ann = await User.objects.acreate(username="ann")
    session = await sync_to_async(logged_in)(ann)
    membership = opened(visitor=Visitor(session.session_key))
    assert await membership.join() == b'"ann"'
    assert json.loads(await membership.describe()) == {"id": "c1", "name": "ann"}
    assert json.loads(await membership.call(me, b"")) == ["ann", session.session_key]
    assert json.loads(await membership.describe()) == {"id": "c1", "name": "ann"}

    await session.adelete()
    assert json.loads(await membership.call(me, b"")) == ["", None]
    assert json.loads(await membership.describe()) == {"id": "c1", "name": ""}


@pytest.mark.usefixtures("one_thread")
async def test_the_session_is_at_hand() -> None:
    own_room()
    session = SessionStore()
    await session.aset("visits", 3)
    await session.asave()
    membership = opened(visitor=Visitor(session.session_key))
    await membership.join()
    assert await membership.call("visits", b"") == b"3"


async def test_no_user_and_no_session_is_kept_between_calls() -> None:
    own_room()
    membership = opened()
    await membership.join()
    await membership.describe()
    await membership.call("sync_me", b"")
    assert {"user", "session"}.isdisjoint(vars(membership.topic))
    with pytest.raises(AttributeError, match=r"Keep what you need of it, as in self\.user_id"):
        _ = membership.topic.user


async def test_a_failed_join_keeps_no_user_either() -> None:
    class Room(Whoami):
        route = "rooms/<int:room>"
        presence = True

        def join(self, room: int) -> None:
            raise PermissionDenied

        def member(self) -> dict[str, Any]:
            return {}

    membership = opened()
    with pytest.raises(Forbidden):
        await membership.join()
    assert "user" not in vars(membership.topic)
