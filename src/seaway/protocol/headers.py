"""Field names, field values and comma lists: what every HTTP-speaking file shares.

What lives here: look-ups in a header list, the grammar of RFC 9110 section 5.6, and the check that
keeps an application's headers from injecting lines.
What must not: parsing of messages, knowledge of a particular header's meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from seaway.exceptions import ResponseError

from .events import Headers

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: A field value must not hold CR, LF or NUL (RFC 9110 section 5.5): they would start a new line.
_FORBIDDEN_IN_VALUE = re.compile(rb"[\r\n\0]")
#: The same as numbers: `in` is many times slower with bytes.
_LF, _CR, _NUL = b"\n\r\0"
#: One element of a list; a quoted string may hold the separator (RFC 9110 sections 5.6.1, 5.6.4).
#: An unclosed quote takes the rest of the value and nothing backtracks: linear in any input.
_ELEMENTS = {
    separator: re.compile(rb'(?:[^"%b]++|"(?:[^"\\]|\\.)*+(?:"|\\?\Z))++' % separator, re.DOTALL)
    for separator in (b",", b";")
}


class Remembered(dict[bytes, bytes]):
    """What a function makes of a name, remembered: applications and browsers use few names, and use
    them again and again. Bounded, since either may make names up.

    A dictionary with ``__missing__``, since looking something up in it is all that a hit costs.
    """

    _most, _longest = 1024, 64

    def __init__(self, make: Callable[[bytes], bytes], known: Iterable[bytes] = ()) -> None:
        super().__init__((name, make(name)) for name in known)
        self._make = make

    def __missing__(self, name: bytes) -> bytes:
        made = self._make(name)
        if len(self) < self._most and len(name) <= self._longest:
            self[bytes(name)] = made
        return made


def is_token(value: bytes) -> bool:
    """Whether ``value`` is a token (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(value) is not None


def values_of(headers: Headers, name: bytes) -> list[bytes]:
    """All values of the fields called ``name`` (lower case), in the order of the wire."""
    return [value for field, value in headers if field == name]


def value_of(headers: Headers, name: bytes) -> bytes | None:
    """The first value of the fields called ``name`` (lower case), or None."""
    for field, value in headers:
        if field == name:
            return value
    return None


def split_quoted(value: bytes, separator: bytes) -> list[bytes]:
    """Split at ``,`` or ``;`` outside quoted strings; empty elements are left out."""
    parts = _ELEMENTS[separator].findall(value) if b'"' in value else value.split(separator)
    return [part for part in (part.strip(b" \t") for part in parts) if part]


def comma_list(values: Iterable[bytes]) -> list[bytes]:
    """The elements of a comma list spread over any number of fields; empty ones are left out.

    Elements keep their case and their quotes (RFC 9110 section 5.6.1).
    """
    return [element for value in values for element in split_quoted(value, b",")]


def token_list(values: Iterable[bytes]) -> list[bytes]:
    """`comma_list` in lower case: for fields such as Connection, whose tokens ignore case."""
    return [element.lower() for element in comma_list(values)]


# Applications use few names, and use them again and again: the cache makes the check a look-up.
@lru_cache(maxsize=1024)
def response_name(name: bytes) -> bytes:
    """``name`` in lower case. Raises `ResponseError` unless it is a token."""
    if not is_token(name):
        raise ResponseError(f"the application sent a header whose name is not a token: {name!r}")
    return name.lower()


def check_response_text(text: bytes, headers: Headers) -> None:
    """`check_response_headers` if there is cause to: ``text`` holds all that ``headers`` hold.

    To look for CR, LF and NUL in everything at once is far faster than a look at each value.
    """
    if _LF in text or _CR in text or _NUL in text:
        check_response_headers(headers)


def check_response_headers(headers: Headers) -> None:
    """Raises `ResponseError` at a name that is no token or a value with CR, LF or NUL."""
    for name, value in headers:
        response_name(name)
        if _FORBIDDEN_IN_VALUE.search(value):
            raise ResponseError(
                f"the application sent the header {name.decode('latin-1')} with CR, LF or NUL "
                f"in its value: {value!r}"
            )
