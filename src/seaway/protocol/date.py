"""The Date field of responses, made once a second (RFC 9110 section 6.6.1).

What lives here: the clock of the Date field, which both versions of HTTP send.
What must not: anything else that a response says.
"""

from __future__ import annotations

from email.utils import formatdate
from time import time


class ResponseDate:
    """The current date as a field's value and as a line of HTTP/1.1."""

    __slots__ = ("_second", "line", "value")

    def __init__(self) -> None:
        self._second = -1.0
        self.value = b""
        self.line = b""

    def now(self) -> ResponseDate:
        """This object, brought up to date."""
        now = time()
        if not 0.0 <= now - self._second < 1.0:
            self._second = now // 1.0
            self.value = formatdate(self._second, usegmt=True).encode()
            self.line = b"date: " + self.value
        return self


DATE = ResponseDate()
