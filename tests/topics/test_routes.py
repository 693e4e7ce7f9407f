"""Routes: from names to parameters and back, and what is wrong with a bad one."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from seaway.exceptions import ConfigurationError, InvalidName
from seaway.topics.routes import Route

ID = uuid.UUID("0123456789abcdef0123456789abcdef")


@pytest.mark.parametrize(
    ("template", "values", "name"),
    [
        ("lobby", {}, "lobby"),
        ("events/<int:event_id>/seats", {"event_id": 7}, "events/7/seats"),
        ("rooms/<room>", {"room": "blue"}, "rooms/blue"),
        ("a/<slug:x>/b/<int:y>", {"x": "p-q", "y": 0}, "a/p-q/b/0"),
        ("docs/<uuid:doc>", {"doc": ID}, f"docs/{ID}"),
        ("files/<path:file>", {"file": "a/b.txt"}, "files/a/b.txt"),
        ("<x>.<y>", {"x": "1", "y": "2"}, "1.2"),
    ],
)
def test_parameters_make_a_name_and_the_name_gives_them_back(
    template: str, values: dict[str, Any], name: str
) -> None:
    route = Route(template)
    assert route.problem is None
    assert route.parameters == tuple(values)
    assert route.name(values) == name
    assert route.match(name) == values


@pytest.mark.parametrize(
    "name",
    ["events/x/seats", "events/7/seats/", "events/7/seats\n", "/events/7/seats", "events/-7/seats"],
)
def test_another_name_does_not_match(name: str) -> None:
    assert Route("events/<int:event_id>/seats").match(name) is None


def test_a_second_spelling_of_the_same_parameters_does_not_match() -> None:
    """Nobody publishes on events/007, so nobody may wait there in vain."""
    assert Route("events/<int:pk>").match("events/007") is None


@pytest.mark.parametrize("values", [{}, {"pk": 1, "x": 2}, {"id": 1}])
def test_missing_and_unknown_parameters_are_named(values: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"'events/<int:pk>' takes pk; given: ") as caught:
        Route("events/<int:pk>").name(values)
    assert all(key in str(caught.value) for key in values)


@pytest.mark.parametrize("value", ["x", -1, 1.5, None, True, "007", "7/8"])
def test_a_value_that_does_not_fit_its_converter_is_named(value: object) -> None:
    with pytest.raises(InvalidName, match="does not allow pk="):
        Route("events/<int:pk>").name({"pk": value})


@pytest.mark.parametrize("value", ["two words", "é", 'a"b', "x" * 300])
def test_a_value_that_makes_no_legal_name_is_refused(value: str) -> None:
    with pytest.raises(InvalidName, match="not a legal topic name"):
        Route("rooms/<room>").name({"room": value})


def test_names_that_seaway_keeps_for_itself_lead_nowhere() -> None:
    everything = Route("<path:name>")
    assert everything.match("a/~b") == {"name": "a/~b"}
    assert everything.match("~p/abc") is None
    with pytest.raises(InvalidName, match="does not allow"):
        everything.name({"name": "~p/abc"})


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("", "not empty"),
        (None, "has to be a string"),
        ("rooms/<nope:x>", "invalid converter 'nope'"),
        ("rooms/<int:1x>", "isn't a valid Python identifier"),
        ("rooms/<int: x>", "cannot contain whitespace"),
        ("rooms/<a>/<a>", "redefinition of group name"),
        ("rooms/<int:x", "unmatched angle bracket"),
        ("my rooms/<x>", "can never match"),
        ("rooms/<self>", "named 'self'"),
        ("~rooms/<int:x>", "starts with '~'"),
    ],
)
def test_a_bad_route_says_what_is_wrong_and_makes_no_name(template: Any, words: str) -> None:
    route = Route(template)
    assert route.problem is not None
    assert words in route.problem
    with pytest.raises(ConfigurationError):
        route.name({})


def test_routes_of_one_shape_are_told_by_their_expression() -> None:
    assert Route("rooms/<int:a>").shape == Route("rooms/<int:b>").shape
    assert Route("rooms/<int:a>").shape != Route("rooms/<slug:a>").shape
