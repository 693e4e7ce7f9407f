"""A message of a channel layer as bytes: MessagePack, the same on every engine.

What lives here: `encode_message`, `decode_message` and `decode_in_turn`.
What must not: channels, groups, or a type that MessagePack does not have by itself.

A sender learns at once what could not travel. Dates, decimals and UUIDs would come out as strings
at the other end; so they are refused, and the sender says which string it means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from seaway.exceptions import UnencodablePayload

Message = dict[str, Any]

_encode = msgspec.msgpack.Encoder().encode

#: What one receiver gets: a dict of its own, at any depth.
decode_message: Callable[[bytes], Message] = msgspec.msgpack.Decoder(dict[str, Any]).decode

#: Messages that `decode_in_turn` keeps, and bytes of the longest.
_MOST_KEPT, _LONGEST_KEPT = 64, 4096
_kept: dict[bytes, Message] = {}


def decode_in_turn(data: bytes) -> Message:
    """The same, for what many receivers of this process decode one soon after the other.

    A message of scalars is decoded once, and each receiver gets a copy.
    """
    found = _kept.get(data)
    if found is not None:
        return found.copy()
    message = decode_message(data)
    if len(data) <= _LONGEST_KEPT and all(type(value) in _SCALARS for value in message.values()):
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[data] = message.copy()
    return message


_SCALARS = frozenset({str, int, float, bool, bytes, type(None)})
_KEYS = frozenset({str, int})
#: What a subclass is at heart. Not ``str(value)``: a class may have its own idea of that.
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, lambda value: bytes(memoryview(value))),
    (bytearray, bytes),
    (memoryview, bytes),
)


def encode_message(message: Message) -> bytes:
    """The bytes of a message.

    Strings, bytes, numbers, booleans and None, in lists, tuples (which arrive as lists) and dicts
    with strings or whole numbers for keys. Subclasses of these, such as an enumeration of strings
    or a safe string of a template, arrive as what they are at heart.

    :raises UnencodablePayload: it is not a dict, or holds something else; says what, and where.
    """
    if not isinstance(message, dict):
        raise UnencodablePayload(
            f"A message of a channel layer has to be a dict, not {type(message).__name__}."
        )
    try:
        return _encode(message if _is_plain(message) else _plain(message, "message"))
    except OverflowError:
        raise UnencodablePayload(
            "The message holds a whole number of more than 64 bits: send it as a string."
        ) from None
    except UnicodeEncodeError:
        raise UnencodablePayload("The message holds a string with half a surrogate pair.") from None
    except RecursionError:
        raise UnencodablePayload("The message holds itself, or is nested too deeply.") from None


def _is_plain(value: Any) -> bool:
    """Whether there is nothing in it to convert or to refuse; nearly always so."""
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                return False
            if type(item) not in _SCALARS and not _is_plain(item):
                return False
        return True
    if kind is list or kind is tuple:
        return all(type(item) in _SCALARS or _is_plain(item) for item in value)
    return kind in _SCALARS


def _plain(value: Any, path: str) -> Any:
    """The same in types that MessagePack has, or `UnencodablePayload` with the way to the value."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, dict):
        return {_key(key, path): _plain(item, f"{path}[{key!r}]") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    for base, plain in _BASES:
        if isinstance(value, base):
            return plain(value)
    raise UnencodablePayload(
        f"{path} is of type {type(value).__name__}, which a channel layer does not carry. "
        "Send strings, bytes, numbers, booleans, None, lists and dicts."
    )


def _key(key: Any, path: str) -> Any:
    if type(key) in _KEYS:
        return key
    if isinstance(key, str):
        return str.__str__(key)
    raise UnencodablePayload(
        f"{path} has a key of type {type(key).__name__}: keys are strings or whole numbers."
    )
