"""Python values to the JSON that clients get.

What lives here: the one JSON encoder for events, snapshots, answers and members.
What must not: the layer, transports; dialects splice what is made here and never look into it.

The rules are msgspec's, with Django's types added: ``datetime``, ``date`` and ``time`` become RFC
3339 strings, ``timedelta`` ISO 8601 durations, ``Decimal`` and ``UUID`` strings, ``bytes`` base64,
``enum`` members their values, dataclasses and structs objects, sets and tuples arrays; lazy
translations are translated; ``nan`` and infinities become ``null``, as JavaScript's
``JSON.stringify`` does it. The keys of a dict are strings, numbers or what becomes a string; any
other key is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from django.db.models import Manager, Model, QuerySet
from django.utils.functional import Promise

from seaway.exceptions import InvalidName, UnencodablePayload

MAX_EVENT_NAME = 100


def encode_json(value: object, what: str) -> bytes:
    """One JSON document in UTF-8, without superfluous white space.

    :param what: names the value in the error, as in ``"The payload"``.
    :raises UnencodablePayload: with the path of the value that is in the way.
    """
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        path, reason = _find_fault(value)
        raise UnencodablePayload(f"{what}{path} cannot be sent as JSON: {reason or exc}") from exc


def encode_event(name: str, payload: object) -> bytes:
    """``{"event":NAME,"data":PAYLOAD}``: the form in which the layer carries an event.

    :raises InvalidName: the name is not a string of 1 to 100 characters.
    :raises UnencodablePayload: JSON cannot carry the payload.
    """
    if not isinstance(name, str) or not 0 < len(name) <= MAX_EVENT_NAME:
        raise InvalidName(
            f"{str(name)[:80]!r} is not a legal event name: "
            f"use a string of 1 to {MAX_EVENT_NAME} characters."
        )
    head = encode_json(name, "The event's name")
    return b'{"event":' + head + b',"data":' + encode_json(payload, "The payload") + b"}"


#: How to get at the plain value of a subclass: ``str(SafeString())`` is a SafeString again.
_PLAIN: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)


def _encode_other(value: object) -> object:
    """What msgspec does not know: Django's lazy strings, and subclasses of str, int and float."""
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, bool | tuple) or value is None:
        raise TypeError("it has a key that is neither a string nor a number.")
    for base, plain in _PLAIN:
        if isinstance(value, base):
            return plain(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(_reason(value))


_encoder = msgspec.json.Encoder(enc_hook=_encode_other)


def _reason(value: object) -> str:
    kind = type(value).__name__
    if isinstance(value, QuerySet | Manager):
        return f"it is a {kind}; make a list of its values, as in list(queryset.values(...))."
    if isinstance(value, Model):
        return f"it is a model instance, {kind}; choose the fields that clients may see."
    return f"JSON has no form for a {kind}."


def _find_fault(value: object) -> tuple[str, str]:
    """(path, reason) of the innermost value that does not encode: only for the error message."""
    path = ""
    seen: set[int] = set()
    while id(value) not in seen:
        seen.add(id(value))
        for step, inner in _children(value):
            if not _encodes(inner):
                path, value = path + step, inner
                break
        else:
            return path, _own_reason(value)
    return path, "it contains itself."


def _children(value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", inner) for key, inner in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"[{index}]", inner) for index, inner in enumerate(value))


def _encodes(value: object) -> bool:
    try:
        _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True


def _own_reason(value: object) -> str:
    try:
        _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        return str(exc)
    return ""
