"""Memberships whose code fails or refuses: what the client is told, and what the log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404
from django.test import override_settings
from django.utils.translation import gettext_lazy

from seaway import ActionError, Topic, action
from seaway.exceptions import (
    Failed,
    Forbidden,
    InvalidArguments,
    LayerUnavailable,
    NotFound,
    TopicError,
    Unavailable,
    UnknownAction,
)
from seaway.topics.membership import Membership
from tests.topics.opening import opened

#: Every run of a method tidies the database connections of its thread, for which pytest-django
#: wants to be asked.
pytestmark = pytest.mark.django_db(transaction=True)


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
