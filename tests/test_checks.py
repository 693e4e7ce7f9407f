"""System checks: each mistake has an id, and a sound project has none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, run_checks  # noqa: A004
from django.test import override_settings

from seaway import History, Topic, action, checks
from seaway.topics.registry import registry


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    with registry.isolated():
        yield


def found(*, seaway: Any = None, **settings: Any) -> list[CheckMessage]:
    raw = {"LAYER": "memory://", **(seaway or {})} if not isinstance(seaway, list) else seaway
    with override_settings(SEAWAY=raw, **settings):
        return list(run_checks(tags=["seaway"]))


def only(messages: list[CheckMessage]) -> CheckMessage:
    assert len(messages) == 1, messages
    return messages[0]


def test_a_sound_project_has_no_messages() -> None:
    class Room(Topic):
        route = "rooms/<int:room>"
        history = History()

        async def join(self, room: int) -> None: ...

        @action
        def knock(self, times: int = 1) -> None: ...

    class Hall(Topic):
        route = "halls/<int:a>/<b>"

        def join(self, **parameters: object) -> None: ...

    assert found() == []


# Settings -----------------------------------------------------------------------------------------


def test_an_unknown_option() -> None:
    message = only(found(seaway={"MAX_JOIN": 1}))
    assert (message.id, message.hint) == (checks.UNKNOWN_OPTION, "Did you mean 'MAX_JOINS'?")
    assert isinstance(message, Error)


def test_a_wrong_value() -> None:
    assert only(found(seaway={"THREADS": 0})).id == checks.WRONG_OPTION
    assert only(found(seaway=["LAYER"])).id == checks.WRONG_OPTION


def test_a_wrong_path() -> None:
    message = only(found(seaway={"PATH": "seaway/"}))
    assert message.id == checks.WRONG_PATH
    assert "has to start and end with a slash" in message.msg


def test_a_wrong_origin() -> None:
    origins = ["https://good.example", "https://bad.example/path", "bad.example:80"]
    messages = found(seaway={"ALLOWED_ORIGINS": origins})
    assert [message.id for message in messages] == [checks.WRONG_ORIGIN] * 2
    assert "'https://bad.example/path' is not an origin" in messages[0].msg


def test_a_weak_key_is_named_by_its_place_and_not_shown() -> None:
    keys = ["x" * 32, "short", "ö" * 40, "with a space that is long enough to pass"]
    messages = found(seaway={"PUBLISH_KEYS": keys})
    assert [message.id for message in messages] == [checks.WEAK_KEY] * 3
    assert "key 2" in messages[0].msg
    assert "short" not in messages[0].msg
    assert found(seaway={"PUBLISH_KEYS": keys[:1]}) == []


def test_an_outbox_needs_a_database_and_its_tables() -> None:
    message = only(found(seaway={"OUTBOX": ["nowhere"]}))
    assert message.id == checks.WRONG_OUTBOX
    assert "DATABASES has no 'nowhere'; it has: default" in message.msg
    assert found(seaway={"OUTBOX": ["default"]}) == []
    without = [name for name in settings.INSTALLED_APPS if name != "seaway.outbox"]
    message = only(found(seaway={"OUTBOX": ["default"]}, INSTALLED_APPS=without))
    assert message.id == checks.WRONG_OUTBOX
    assert "manage.py migrate" in str(message.hint)


def test_a_channel_layer_that_cannot_be_made() -> None:
    layers = {
        "default": {"BACKEND": "seaway.layers.SeawayChannelLayer", "CONFIG": {"LAYER": "local://"}},
        "typo": {"BACKEND": "seaway.layers.SeawayChanelLayer"},
    }
    message = only(found(CHANNEL_LAYERS=layers))
    assert message.id == checks.WRONG_CHANNEL_LAYER
    assert "Cannot import BACKEND 'seaway.layers.SeawayChanelLayer' specified for typo" in (
        message.msg
    )


@pytest.mark.parametrize(
    ("installed", "ids"),
    [
        (["seaway", "django.contrib.staticfiles"], []),
        (["django.contrib.staticfiles", "seaway"], [checks.APP_ORDER]),
        (["seaway"], []),
    ],
)
def test_the_order_of_apps(installed: list[str], ids: list[str]) -> None:
    assert [message.id for message in found(INSTALLED_APPS=installed)] == ids


# Topics -------------------------------------------------------------------------------------------


def test_a_bad_route() -> None:
    class Room(Topic):
        route = "rooms/<nope:room>"

        def join(self, room: object) -> None: ...

    message = only(found())
    assert (message.id, message.obj) == (checks.WRONG_ROUTE, Room)
    assert "invalid converter 'nope'" in message.msg


def test_two_topics_with_one_route() -> None:
    class Room(Topic):
        route = "rooms/<int:room>"

        def join(self, room: int) -> None: ...

    class Chamber(Topic):
        route = "rooms/<int:chamber>"

        def join(self, chamber: int) -> None: ...

    message = only(found())
    assert (message.id, message.obj) == (checks.DUPLICATE_ROUTE, Chamber)
    assert "Chamber leads to" in message.msg
    assert "Room, which has the same route." in message.msg


def test_a_topic_that_nobody_may_join() -> None:
    class Room(Topic):
        route = "rooms"

    message = only(found())
    assert message.id == checks.NO_JOIN
    assert isinstance(message, Warning)


def test_a_join_that_does_not_take_the_routes_parameters() -> None:
    class Room(Topic):
        route = "rooms/<int:room>"

        def join(self, pk: int) -> None: ...

    message = only(found())
    assert (message.id, message.hint) == (checks.WRONG_JOIN, "Write join(self, room).")


def test_a_history_that_is_none() -> None:
    class Room(Topic):
        route = "rooms"
        history = 100  # type: ignore[assignment]  # the mistake

        def join(self) -> None: ...

    message = only(found())
    assert message.id == checks.WRONG_HISTORY
    assert "has to be a History or None, not 100" in message.msg


def test_actions_that_cannot_be_validated() -> None:
    class Room(Topic):
        route = "rooms"

        def join(self) -> None: ...

        @action
        def one(self, seat) -> None: ...  # type: ignore[no-untyped-def]

        @action
        def two(self, *seats: int) -> None: ...

        @action
        def three(self, thing: Topic) -> None: ...

    messages = found()
    assert [message.id for message in messages] == [checks.WRONG_ACTION] * 3
    assert "parameter 'seat' has no annotation" in messages[0].msg


def test_an_action_with_the_name_of_something_else() -> None:
    class Room(Topic):
        route = "rooms"

        def join(self) -> None: ...

        @action
        def leave(self) -> None: ...

    message = only(found())
    assert message.id == checks.WRONG_ACTION
    assert "Room.leave has the name of a method of Topic" in message.msg


def test_an_override_that_lost_its_mark() -> None:
    class Base(Topic):
        @action
        def knock(self) -> None: ...

        @action
        def ring(self) -> None: ...

    class Room(Base):
        route = "rooms"
        ring = None  # type: ignore[assignment]  # taken away on purpose

        def join(self) -> None: ...

        def knock(self) -> None: ...

    message = only(found())
    assert message.id == checks.UNMARKED_OVERRIDE
    assert "Room.knock overrides an action" in message.msg


def test_a_base_without_a_route_is_not_looked_at() -> None:
    class Base(Topic):
        history = 100  # type: ignore[assignment]  # would be a mistake

    assert found() == []
