"""PostgreSQL's representation of the few types that the engine exchanges.

What lives here: Python values to parameters, and fields of results to Python values.
What must not: SQL, or anything that knows what a value means.

Bytes and arrays travel in binary format, everything else goes in as text; results are binary.
https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Sequence
from typing import Any

_HEADER = struct.Struct(">iiIii")
_LENGTH = struct.Struct(">i")
_DOUBLE = struct.Struct(">d")
_NULL = _LENGTH.pack(-1)


class Type(enum.IntEnum):
    """Types by their object identifiers, which are the same in every PostgreSQL (pg_type.dat)."""

    BOOL = 16
    BYTES = 17
    BIG = 20
    INT = 23
    TEXT = 25
    DOUBLE = 701
    UUID = 2950
    BOOLS = 1000
    BYTES_LIST = 1001
    INTS = 1007
    TEXTS = 1009
    BIGS = 1016
    DOUBLES = 1022
    UUIDS = 2951

    @property
    def binary(self) -> bool:
        return self is Type.BYTES or self in _ELEMENTS


#: Array types: the type of an element, and its binary form.
_ELEMENTS: dict[Type, tuple[Type, Callable[[Any], bytes]]] = {
    Type.BOOLS: (Type.BOOL, lambda value: b"\1" if value else b"\0"),
    Type.BYTES_LIST: (Type.BYTES, bytes),
    Type.INTS: (Type.INT, _LENGTH.pack),
    Type.TEXTS: (Type.TEXT, str.encode),
    Type.BIGS: (Type.BIG, struct.Struct(">q").pack),
    Type.DOUBLES: (Type.DOUBLE, _DOUBLE.pack),
    Type.UUIDS: (Type.UUID, bytes),
}


def parameter(kind: Type, value: Any) -> bytes | None:
    """One parameter. UUIDs are 16 bytes; None is NULL."""
    if value is None:
        return None
    if kind in _ELEMENTS:
        return _array(*_ELEMENTS[kind], value)
    if kind is Type.BYTES:
        return bytes(value)
    if kind is Type.UUID:
        return bytes(value.hex(), "ascii")
    if kind is Type.BOOL:
        return b"t" if value else b"f"
    return str(value).encode()


def _array(element: Type, encode: Callable[[Any], bytes], values: Sequence[Any]) -> bytes:
    """array_send in src/backend/utils/adt/arrayfuncs.c: dimensions, has nulls, type, size, from."""
    nulls = int(any(value is None for value in values))
    if not values:
        return struct.pack(">iiI", 0, 0, element)
    parts = [_HEADER.pack(1, nulls, element, len(values), 1)]
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            encoded = encode(value)
            parts += (_LENGTH.pack(len(encoded)), encoded)
    return b"".join(parts)


def number(field: bytes | None) -> int:
    """An integer of any width; NULL is 0."""
    return 0 if field is None else int.from_bytes(field, "big", signed=True)


def text(field: bytes | None) -> str:
    return "" if field is None else field.decode()


def double(field: bytes | None) -> float | None:
    if field is None:
        return None
    value: float = _DOUBLE.unpack(field)[0]
    return value


def truth(field: bytes | None) -> bool:
    return field == b"\1"
