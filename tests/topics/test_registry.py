"""The registry: which class a name leads to."""

from __future__ import annotations

import pytest

from seaway.exceptions import UnknownTopic
from seaway.topics.registry import registry
from seaway.topics.topic import Topic


def test_a_class_with_a_route_is_found_by_a_name() -> None:
    class Room(Topic):
        route = "rooms/<int:room_id>"

    assert registry.resolve("rooms/7") == (Room, {"room_id": 7})


def test_a_class_without_a_route_is_a_base_and_not_registered() -> None:
    class Base(Topic):
        presence = True

    class Room(Base):
        route = "rooms"

    assert list(registry) == [Room]
    assert registry.resolve("rooms") == (Room, {})


@pytest.mark.parametrize(
    "name", ["nope", "", "rooms/7/", "rooms/ 7", "x" * 5000, "rooms/\x00", "é"]
)
def test_any_other_name_is_unknown(name: str) -> None:
    class Room(Topic):
        route = "rooms/<room_id>"

    with pytest.raises(UnknownTopic) as caught:
        registry.resolve(name)
    assert len(str(caught.value)) < 500


def test_the_first_route_that_fits_wins() -> None:
    class Lobby(Topic):
        route = "rooms/lobby"

    class Room(Topic):
        route = "rooms/<name>"

    assert registry.resolve("rooms/lobby")[0] is Lobby
    assert registry.resolve("rooms/blue")[0] is Room


def test_a_class_defined_anew_replaces_the_old_one() -> None:
    def define() -> type[Topic]:
        class Room(Topic):
            route = "rooms"

        return Room

    define()
    second = define()
    assert list(registry) == [second]


def test_a_bad_route_leads_nowhere_and_hides_nothing() -> None:
    class Broken(Topic):
        route = "rooms/<nope:x>"

    class Room(Topic):
        route = "rooms/<name>"

    assert registry.resolve("rooms/blue")[0] is Room
