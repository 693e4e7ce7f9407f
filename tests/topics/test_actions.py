"""Actions: what is one, and what becomes of the arguments that a client sends."""

from __future__ import annotations

import datetime as dt
import enum
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import pytest

from seaway import Topic, action
from seaway.exceptions import ConfigurationError, InvalidArguments

if TYPE_CHECKING:
    from http.cookies import Morsel

    Ticket = Morsel[str] | None


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int = 0


class Counter(Topic):
    @action
    def add(self, seat: int, by: str = "nobody", *, tags: list[str] | None = None) -> None: ...

    @action
    async def paint(
        self,
        colour: Colour,
        at: Point,
        when: dt.datetime,
        size: Annotated[int, msgspec.Meta(ge=1, le=9)],
        mode: Literal["fill", "line"],
        rest: Any = None,
    ) -> None: ...

    @action
    def deep(self, tree: dict[str, list[Point]]) -> None: ...

    @action
    def ping(self) -> None: ...

    def helper(self) -> None:
        """Not an action: clients cannot call it."""


def decoded(name: str, raw: bytes) -> dict[str, Any]:
    return Counter.actions[name].decode(raw)


def refusal(name: str, raw: bytes) -> str:
    with pytest.raises(InvalidArguments) as caught:
        decoded(name, raw)
    return caught.value.message


def test_only_marked_methods_are_actions() -> None:
    assert set(Counter.actions) == {"add", "paint", "deep", "ping"}


def test_arguments_arrive_by_name_and_defaults_are_left_to_python() -> None:
    assert decoded("add", b'{"seat":12}') == {"seat": 12}
    assert decoded("add", b'{"seat":12,"by":"ann","tags":["a"]}') == {
        "seat": 12,
        "by": "ann",
        "tags": ["a"],
    }
    assert decoded("add", b'{"seat":12,"tags":null}') == {"seat": 12, "tags": None}


@pytest.mark.parametrize("raw", [b"", b"{}", b" {} "])
def test_an_action_without_parameters_takes_nothing(raw: bytes) -> None:
    assert decoded("ping", raw) == {}


def test_raw_json_is_taken_as_it_is() -> None:
    raw = msgspec.json.decode(b'{"seat":1}', type=msgspec.Raw)
    assert Counter.actions["add"].decode(raw) == {"seat": 1}


def test_types_beyond_json_are_made_from_it() -> None:
    raw = json.dumps(
        {"colour": "red", "at": {"x": 1}, "when": "2026-01-02T03:04:05Z", "size": 9, "mode": "fill"}
    ).encode()
    assert decoded("paint", raw) == {
        "colour": Colour.RED,
        "at": Point(1, 0),
        "when": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        "size": 9,
        "mode": "fill",
    }


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"{}", "Invalid arguments: seat is missing."),
        (b'{"seat":"12"}', "Invalid arguments: seat: expected int, got str."),
        (b'{"seat":1.5}', "Invalid arguments: seat: expected int, got float."),
        (b'{"seat":true}', "Invalid arguments: seat: expected int, got bool."),
        (b'{"seat":null}', "Invalid arguments: seat: expected int, got null."),
        (b'{"seat":1,"seatt":2}', "Invalid arguments: seatt is unknown."),
        (b'{"seat":1,"tags":["a",1]}', "Invalid arguments: tags[1]: expected str, got int."),
        (b"[]", "Invalid arguments: expected object, got array."),
        (b"null", "Invalid arguments: expected object, got null."),
        (b"12", "Invalid arguments: expected object, got int."),
        (b'{"seat":', "The arguments are not valid JSON."),
        (b'{"seat":1}x', "The arguments are not valid JSON."),
        (b'{"seat":1,"by":"\\ud800"}', "The arguments are not valid JSON."),
        (b'{"seat":1,"by":"\xff"}', "The arguments are not valid JSON."),
    ],
)
def test_a_mistake_is_named_in_plain_words(raw: bytes, words: str) -> None:
    assert refusal("add", raw) == words


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'{"tree":{"a":[{"x":1},{}]}}', "tree[...][1].x is missing"),
        (b'{"tree":{"a":[{"x":1,"y":"2"}]}}', "tree[...][0].y: expected int, got str"),
        (b'{"tree":[]}', "tree: expected object, got array"),
    ],
)
def test_a_mistake_deep_inside_is_named_with_its_path(raw: bytes, words: str) -> None:
    assert words in refusal("deep", raw)


def test_arguments_nested_beyond_all_measure_are_refused() -> None:
    class Open(Topic):
        @action
        def take(self, thing: Any) -> None: ...

    with pytest.raises(InvalidArguments):
        Open.actions["take"].decode(b'{"thing":' + b"[" * 100_000 + b"]" * 100_000 + b"}")


def test_actions_are_inherited_and_may_be_overridden_or_taken_away() -> None:
    class Child(Counter):
        @action
        def add(self, seat: str) -> None: ...  # type: ignore[override]  # the point of the test

        def ping(self) -> None:
            """Overrides an action without the mark: clients cannot call it."""

        deep = None  # type: ignore[assignment]  # the point of the test

    assert set(Child.actions) == {"add", "paint"}
    assert Child.actions["add"].decode(b'{"seat":"x"}') == {"seat": "x"}
    assert set(Counter.actions) == {"add", "paint", "deep", "ping"}


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        Counter.actions["helper"] = Counter.actions["add"]  # type: ignore[index]


def test_a_name_defined_later_is_resolved_when_it_is_needed() -> None:
    assert LATER.actions["move"].decode(b'{"to":{"z":3}}') == {"to": Place(3)}


class Later(Topic):
    @action
    def move(self, to: Place) -> None: ...


LATER = Later


@dataclass
class Place:
    z: int


def test_what_an_action_returns_need_not_be_importable() -> None:
    assert Returning.actions["take"].decode(b'{"seat":1}') == {"seat": 1}


class Returning(Topic):
    @action
    def take(self, seat: int) -> Ticket: ...


class Opaque:
    """A class that JSON knows nothing of."""


class Broken(Topic):
    @action
    def unannotated(self, seat) -> None: ...  # type: ignore[no-untyped-def]

    @action
    def any_number(self, *seats: int) -> None: ...

    @action
    def any_keywords(self, **seats: int) -> None: ...

    @action
    def positional(self, seat: int, /) -> None: ...

    @action
    def opaque(self, thing: Opaque) -> None: ...

    @action
    def opaque_inside(self, things: dict[str, list[Opaque | None]]) -> None: ...

    @action
    def unknown(self, thing: NoSuchName) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    @action
    def ambiguous(self, thing: Point | Place) -> None: ...


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unannotated", "parameter 'seat' has no annotation"),
        ("any_number", "'seats' takes any number of arguments"),
        ("any_keywords", "'seats' takes any keyword arguments"),
        ("positional", "'seat' is positional-only"),
        ("opaque", "cannot be checked against thing: <class"),
        ("opaque_inside", "cannot be checked against things: <class"),
        ("unknown", "'NoSuchName' is not defined"),
        ("ambiguous", "its annotations cannot be used"),
    ],
)
def test_a_broken_action_says_why_and_takes_no_call(name: str, words: str) -> None:
    entry = Broken.actions[name]
    assert entry.problem is not None
    assert entry.problem.startswith(f"Action Broken.{name}: ")
    assert words in entry.problem
    with pytest.raises(ConfigurationError):
        entry.decode(b"{}")


def test_only_a_plain_method_can_be_marked() -> None:
    with pytest.raises(TypeError, match="marks a method"):
        action(staticmethod(print))


def test_a_wrapped_method_keeps_its_parameters() -> None:
    from django.db import transaction

    class Wrapped(Topic):
        @action
        @transaction.atomic
        def outer(self, seat: int) -> None: ...

        @transaction.atomic
        @action
        def inner(self, seat: int) -> None: ...

    assert Wrapped.actions["outer"].decode(b'{"seat":1}') == {"seat": 1}
    assert Wrapped.actions["inner"].decode(b'{"seat":1}') == {"seat": 1}
