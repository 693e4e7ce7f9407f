"""What a message may hold, and what the sender of anything else is told."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections import OrderedDict
from typing import Any

import pytest
from django.utils.safestring import mark_safe
from hypothesis import given
from hypothesis import strategies as st

from seaway.exceptions import UnencodablePayload
from seaway.layers.channels.messages import decode_message, encode_message


def travelled(message: Any) -> dict[str, Any]:
    return decode_message(encode_message(message))


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abcé."), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text("abc"), _values))
def test_a_message_arrives_as_it_was_sent(message: dict[str, Any]) -> None:
    assert travelled(message) == message


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Amount(float):
    pass


class Blob(bytes):
    pass


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ((1, (2, 3)), [1, [2, 3]]),
        (mark_safe("<b>"), "<b>"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Amount(1.5), 1.5),
        (Blob(b"x"), b"x"),
        (bytearray(b"x"), b"x"),
        pytest.param(memoryview(b"x"), b"x", id="memoryview"),
        (OrderedDict(a=[mark_safe("<i>")]), {"a": ["<i>"]}),
        ({1: "one"}, {1: "one"}),
        ({Colour.RED: 1}, {"red": 1}),
    ],
    ids=repr,
)
def test_relatives_of_plain_types_arrive_as_these(sent: Any, received: Any) -> None:
    arrived = travelled({"value": sent})["value"]
    assert arrived == received
    assert type(arrived) is type(received)


@pytest.mark.parametrize(
    "value",
    [
        dt.datetime.now(dt.UTC),
        dt.date(2026, 1, 1),
        dt.timedelta(1),
        decimal.Decimal("1.5"),
        uuid.uuid4(),
        {1, 2},
        object(),
        Exception("no"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_sender_is_told_what_cannot_travel_and_where(value: Any) -> None:
    with pytest.raises(TypeError, match=r"message\['seats'\]\[1\]\['when'\] is of type") as caught:
        encode_message({"seats": [{}, {"when": value}]})
    assert isinstance(caught.value, UnencodablePayload)


@pytest.mark.parametrize("message", [None, [], "text", b"bytes", 7])
def test_a_message_is_a_dict(message: Any) -> None:
    with pytest.raises(TypeError, match="has to be a dict, not"):
        encode_message(message)


def test_what_is_too_large_too_deep_or_broken_is_a_type_error_too() -> None:
    itself: dict[str, Any] = {}
    itself["again"] = itself
    wrong: list[tuple[Any, str]] = [
        ({"n": 2**64}, "more than 64 bits"),
        ({"s": "\ud800"}, "half a surrogate pair"),
        (itself, "holds itself"),
        ({"d": {(1, 2): 3}}, "has a key of type tuple"),
    ]
    for message, reason in wrong:
        with pytest.raises(TypeError, match=reason):
            encode_message(message)
