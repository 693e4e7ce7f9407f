"""The Date field of responses, made once a second (RFC 9110 section 6.6.1).

What lives here: the clock of the Date field, which both versions of HTTP send.
What must not: anything else that a response says.
"""

from __future__ import annotations

import time
from email.utils import formatdate


class ResponseDate:
    """The current date as a field's value and as a line of HTTP/1.1."""

    __slots__ = ("_second", "line", "value")

    def __init__(self) -> None:
        self._second = -1
        self.value = b""
        self.line = b""

    def now(self) -> ResponseDate:
        """This object, brought up to date."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self.value = formatdate(second, usegmt=True).encode()
            self.line = b"date: " + self.value
        return self


DATE = ResponseDate()
