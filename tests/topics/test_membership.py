"""Memberships: from a client's request into the developer's code and back."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from seaway import History, Topic, action
from seaway.exceptions import Failed, Forbidden, InvalidArguments, UnknownAction, UnknownTopic
from tests.topics.opening import opened

#: Every run of a method tidies the database connections of its thread, for which pytest-django
#: wants to be asked.
pytestmark = pytest.mark.django_db(transaction=True)


# Opening ------------------------------------------------------------------------------------------


def test_a_name_without_a_route_cannot_be_opened() -> None:
    with pytest.raises(UnknownTopic):
        opened("nowhere")


def test_a_topic_without_join_cannot_be_joined() -> None:
    class Room(Topic):
        route = "rooms/<int:room>"

    with pytest.raises(Forbidden):
        opened()


async def test_a_topic_that_cannot_be_made_is_our_fault(caplog: pytest.LogCaptureFixture) -> None:
    class Room(Topic):
        route = "rooms/<int:room>"

        def __init__(self, name: str, connection: str) -> None:
            raise RuntimeError("no floor")

        def join(self, room: int) -> None: ...

    with pytest.raises(Failed):
        opened()
    assert "no floor" in caplog.text


def test_a_membership_shows_what_the_topic_declares() -> None:
    class Room(Topic):
        route = "rooms/<int:room>"
        history = History(size=5)
        presence = True

        def join(self, room: int) -> None: ...

    membership = opened()
    assert (membership.name, membership.presence) == ("rooms/7", True)
    assert membership.history == History(size=5)
    assert isinstance(membership.topic, Room)
    assert (membership.topic.name, membership.topic.connection) == ("rooms/7", "c1")


# Joining and calling, by methods of either colour -------------------------------------------------


def sync_room() -> type[Topic]:
    class Room(Topic):
        route = "rooms/<int:room>"

        def join(self, room: int) -> dict[str, Any]:
            self.room = room
            self.thread = threading.current_thread()
            return {"room": room, "anonymous": self.user.is_anonymous}

        @action
        def add(self, number: int, to: int = 1) -> int:
            return self.room + number + to

        def member(self) -> dict[str, Any]:
            return {"room": self.room, "id": "not yours to choose"}

    return Room


def async_room() -> type[Topic]:
    class Room(Topic):
        route = "rooms/<int:room>"

        async def join(self, room: int) -> dict[str, Any]:
            self.room = room
            self.thread = threading.current_thread()
            return {"room": room, "anonymous": self.user.is_anonymous}

        @action
        async def add(self, number: int, to: int = 1) -> int:
            await asyncio.sleep(0)
            return self.room + number + to

        async def member(self) -> dict[str, Any]:
            return {"room": self.room, "id": "not yours to choose"}

    return Room


def disguised_room() -> type[Topic]:
    """Its methods look synchronous and return coroutines, as badly wrapped ones do."""

    def disguise(method: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
        @functools.wraps(method)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return wrapper

    class Room(Topic):
        route = "rooms/<int:room>"

        @disguise
        async def join(self, room: int) -> dict[str, Any]:
            self.room = room
            return {"room": room, "anonymous": self.user.is_anonymous}

        @action
        @disguise
        async def add(self, number: int, to: int = 1) -> int:
            return self.room + number + to

        @disguise
        async def member(self) -> dict[str, Any]:
            return {"room": self.room, "id": "not yours to choose"}

    return Room


@pytest.mark.parametrize("define", [sync_room, async_room, disguised_room])
async def test_join_call_describe_and_leave(define: Callable[[], type[Topic]]) -> None:
    define()
    membership = opened()
    assert json.loads(await membership.join()) == {"room": 7, "anonymous": True}
    assert await membership.call("add", b'{"number":3}') == b"11"
    assert await membership.call("add", b'{"number":3,"to":5}') == b"15"
    assert json.loads(await membership.describe()) == {"id": "c1", "room": 7}
    await membership.leave()


async def test_synchronous_methods_run_in_the_pool_and_others_on_the_loop() -> None:
    sync_room()
    membership = opened()
    await membership.join()
    assert vars(membership.topic)["thread"].name.startswith("seaway-sync")


async def test_an_asynchronous_method_of_a_stranger_never_leaves_the_loop() -> None:
    async_room()
    membership = opened()
    await membership.join()
    assert vars(membership.topic)["thread"] is threading.current_thread()


async def test_a_topic_that_returns_nothing_answers_null_and_describes_itself_by_its_id() -> None:
    class Room(Topic):
        route = "rooms/<int:room>"

        def join(self, room: int) -> None: ...

    membership = opened()
    assert await membership.join() == b"null"
    assert await membership.describe() == b'{"id":"c1"}'


async def test_a_call_of_what_is_no_action_reaches_nothing() -> None:
    sync_room()
    membership = opened()
    await membership.join()
    for name in ("join", "leave", "nope", "__init__", "publish", ""):
        with pytest.raises(UnknownAction):
            await membership.call(name, b"{}")


async def test_wrong_arguments_do_not_run_the_action() -> None:
    class Room(Topic):
        route = "rooms/<int:room>"
        calls = 0

        def join(self, room: int) -> None: ...

        @action
        def count(self, by: int) -> None:
            Room.calls += by

    membership = opened()
    await membership.join()
    with pytest.raises(InvalidArguments):
        await membership.call("count", b'{"by":"1"}')
    assert Room.calls == 0


# Leaving ------------------------------------------------------------------------------------------


async def test_leave_runs_once_for_each_join_that_succeeded() -> None:
    left: list[str] = []

    class Room(Topic):
        route = "rooms/<int:room>"
        refuse = True

        def join(self, room: int) -> None:
            if Room.refuse:
                raise PermissionDenied

        def leave(self) -> None:
            left.append(self.name)

    membership = opened()
    with pytest.raises(Forbidden):
        await membership.join()
    await membership.leave()
    assert left == []
    Room.refuse = False
    await membership.join()
    await membership.leave()
    await membership.leave()
    assert left == ["rooms/7"]


async def test_a_leave_that_fails_is_logged_and_raises_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Room(Topic):
        route = "rooms/<int:room>"

        def join(self, room: int) -> None: ...

        async def leave(self) -> None:
            raise RuntimeError("door is stuck")

    membership = opened()
    await membership.join()
    await membership.leave()
    assert "door is stuck" in caplog.text
    assert "Room.leave of topic 'rooms/7'" in caplog.text
