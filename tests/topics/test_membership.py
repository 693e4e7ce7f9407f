"""Memberships: from a client's request into the developer's code and back."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404
from django.test import override_settings
from django.utils.translation import gettext_lazy

from seaway import ActionError, History, Topic, action
from seaway.auth import Visitor
from seaway.exceptions import (
    Failed,
    Forbidden,
    InvalidArguments,
    LayerUnavailable,
    NotFound,
    TopicError,
    Unavailable,
    UnknownAction,
    UnknownTopic,
)
from seaway.topics.membership import Membership

#: Every run of a method tidies the database connections of its thread, for which pytest-django
#: wants to be asked.
pytestmark = pytest.mark.django_db(transaction=True)

STRANGER = Visitor()


def opened(name: str = "rooms/7", visitor: Visitor = STRANGER) -> Membership:
    return Membership.open(name, visitor, "c1")


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


# Errors -------------------------------------------------------------------------------------------


def raising(error: Exception) -> Membership:
    class Room(Topic):
        route = "rooms/<int:room>"

        def join(self, room: int) -> None:
            raise error

    return opened()


async def answer_of(error: Exception) -> TopicError:
    with pytest.raises(TopicError) as caught:
        await raising(error).join()
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (PermissionDenied(), Forbidden, "You may not do this."),
        (PermissionDenied("Members only."), Forbidden, "Members only."),
        (ValidationError("Too long."), InvalidArguments, "Too long."),
        (ValidationError(["Too long.", "Too wide."]), InvalidArguments, "Too long. Too wide."),
        (Http404("No such room."), NotFound, "No such room."),
        (User.DoesNotExist("User matching query"), NotFound, "What you asked for does not exist."),
        (LayerUnavailable("redis is down"), Unavailable, "The service cannot be reached."),
        (RuntimeError("secret"), Failed, "Something went wrong on the server."),
        (StopIteration("secret"), Failed, "Something went wrong on the server."),
        (TimeoutError("secret"), Failed, "Something went wrong on the server."),
        (UnknownAction("As it is."), UnknownAction, "As it is."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_an_exception_becomes_an_answer(
    error: Exception, kind: type[TopicError], message: str
) -> None:
    answer = await answer_of(error)
    assert type(answer) is kind
    assert answer.message.startswith(message)


async def test_errors_of_several_fields_are_told_field_by_field() -> None:
    answer = await answer_of(ValidationError({"row": ["No such row."], "seat": "Taken."}))
    assert answer.data == {"row": ["No such row."], "seat": ["Taken."]}


async def test_the_application_says_no_in_its_own_words() -> None:
    error = ActionError(gettext_lazy("Yes"), code="taken", data={"by": gettext_lazy("No")})  # type: ignore[arg-type]
    answer = await answer_of(error)
    assert (answer.code, answer.message, answer.data) == ("taken", "Yes", {"by": "No"})
    assert type(answer.message) is str
    assert answer.__cause__ is None


async def test_an_error_with_data_that_json_cannot_carry_is_our_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert type(await answer_of(ActionError("No.", data=object()))) is Failed
    assert "The data of an error cannot be sent as JSON" in caplog.text


async def test_our_own_fault_is_logged_once_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await answer_of(RuntimeError("out of paper"))
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.name == "seaway.topics"
    assert record.exc_info
    assert "Room.join of topic 'rooms/7' failed: out of paper" in record.getMessage()


@pytest.mark.parametrize("error", [PermissionDenied(), ActionError("No."), Http404()])
async def test_a_refusal_is_no_fault_and_not_in_the_log(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    await answer_of(error)
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@override_settings(DEBUG=True)
async def test_with_debug_the_client_learns_which_exception_it_was() -> None:
    answer = await answer_of(RuntimeError("out of paper"))
    assert answer.message == "RuntimeError: out of paper"


async def test_a_result_that_json_cannot_carry_is_our_fault(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Room(Topic):
        route = "rooms/<int:room>"

        def join(self, room: int) -> Any:
            return {"users": [User(username="ann")]}

    with pytest.raises(Failed):
        await opened().join()
    assert "The result['users'][0] cannot be sent as JSON: it is a model instance" in caplog.text


async def test_a_broken_action_is_our_fault(caplog: pytest.LogCaptureFixture) -> None:
    class Room(Topic):
        route = "rooms/<int:room>"

        def join(self, room: int) -> None: ...

        @action
        def broken(self, seat) -> None: ...  # type: ignore[no-untyped-def]

    membership = opened()
    with pytest.raises(Failed):
        await membership.call("broken", b'{"seat":1}')
    assert "parameter 'seat' has no annotation" in caplog.text


async def test_a_member_that_is_no_dict_is_our_fault() -> None:
    class Room(Topic):
        route = "rooms/<int:room>"

        def join(self, room: int) -> None: ...

        def member(self) -> Any:
            return 7

    membership = opened()
    await membership.join()
    with pytest.raises(Failed):
        await membership.describe()


# Users --------------------------------------------------------------------------------------------


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
