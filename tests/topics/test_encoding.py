"""What becomes of Python values on their way to a client, and of those that cannot go."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import translation
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from seaway.exceptions import InvalidName, UnencodablePayload
from seaway.topics.encoding import encode_event, encode_json


class Colour(enum.Enum):
    RED = "red"


class Celsius(float):
    pass


@dataclass
class Seat:
    row: str
    number: int


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("é ✓", "é ✓"),
        ((1, 2), [1, 2]),
        ({3}, [3]),
        (Colour.RED, "red"),
        (Celsius(1.5), 1.5),
        (Seat("A", 1), {"row": "A", "number": 1}),
        (OrderedDict(a=1), {"a": 1}),
        ({1: "x", 2.5: "y"}, {"1": "x", "2.5": "y"}),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), "2026-01-02T03:00:00Z"),
        (dt.timedelta(hours=1), "PT3600S"),
        (b"abc", "YWJj"),
        (lazystr("later"), "later"),
        (mark_safe("<b>"), "<b>"),
        ([float("nan"), float("inf"), float("-inf")], [None, None, None]),
        (2**70, 2**70),
    ],
    ids=repr,
)
def test_a_value_becomes_json(value: object, expected: object) -> None:
    assert json.loads(encode_json(value, "It")) == expected


def test_a_lazy_translation_is_made_in_the_language_of_the_moment() -> None:
    with translation.override("de"):
        assert json.loads(encode_json({"a": gettext_lazy("Yes")}, "It")) == {"a": "Ja"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(
            object(),
            "The payload cannot be sent as JSON: JSON has no form for a object.",
            id="an object",
        ),
        ({"seats": [1, {2j}]}, "The payload['seats'][1] cannot"),
        ({"seats": [1, {"price": 2j}]}, "The payload['seats'][1]['price'] cannot"),
        ({"a": {(1, 2): 3}}, "The payload['a'] cannot"),
        ({"a": {True: 3}}, "The payload['a'] cannot"),
        ({"a": "\ud800"}, "The payload['a'] cannot"),
        ([range(3)], "a range"),
    ],
    ids=repr,
)
def test_what_json_cannot_carry_is_named_with_its_path(value: object, words: str) -> None:
    with pytest.raises(UnencodablePayload) as caught:
        encode_json(value, "The payload")
    assert words in str(caught.value)


def test_a_queryset_is_refused_with_advice_and_without_a_query() -> None:
    with pytest.raises(UnencodablePayload, match=r"\['users'\].*list\(queryset.values"):
        encode_json({"users": User.objects.all()}, "The payload")


def test_a_model_instance_is_refused_with_advice() -> None:
    with pytest.raises(UnencodablePayload, match="choose the fields that clients may see"):
        encode_json(User(username="ann"), "The payload")


def test_a_payload_that_contains_itself_is_refused() -> None:
    knot: list[Any] = []
    knot.append(knot)
    with pytest.raises(UnencodablePayload, match="contains itself"):
        encode_json({"knot": knot}, "The payload")


def test_an_event_is_one_json_object_without_white_space() -> None:
    assert encode_event('sold "out"', {"a": [1, 2]}) == (
        b'{"event":"sold \\"out\\"","data":{"a":[1,2]}}'
    )


@pytest.mark.parametrize("name", ["", "x" * 101, 7, None, b"sold"])
def test_an_event_needs_a_name_of_1_to_100_characters(name: Any) -> None:
    with pytest.raises(InvalidName, match="1 to 100 characters"):
        encode_event(name, None)


def test_the_longest_event_name_is_legal() -> None:
    assert json.loads(encode_event("x" * 100, None)) == {"event": "x" * 100, "data": None}
