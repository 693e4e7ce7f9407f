"""One HTTP/2 stream on the server's side: what its request was, and how far its response is.

What lives here: `Answer`, which holds the application to what a response may be.
What must not: frames, flow control, other streams.
"""

from __future__ import annotations

from seaway.exceptions import ResponseError

from .events import Headers, InterimResponse, RequestReceived
from .http2_rules import Fields, response_fields

#: Statuses whose responses have no content (RFC 9110 sections 15.3.5 and 15.4.5).
_WITHOUT_CONTENT = frozenset({204, 304})
#: What the server's parts call the change of protocol; RFC 8441 section 5 has 200 on the wire.
SWITCHING_PROTOCOLS = 101

#: Where a response stands: not begun; its body may be sent; complete.
NEW, STARTED, COMPLETE = range(3)


class Answer:
    """One stream. ``unread`` counts bytes of the request that the application has not taken."""

    __slots__ = (
        "_left",
        "_with_content",
        "request_ended",
        "state",
        "tunnel",
        "unread",
        "upgradable",
    )

    def __init__(self, request: RequestReceived) -> None:
        self.request_ended = request.ended
        self.state = NEW
        #: Whether the stream carries another protocol now.
        self.tunnel = False
        self.upgradable = request.upgrade != ""
        self.unread = 0
        self._with_content = request.method != "HEAD"
        self._left = -1

    def interim(self, event: InterimResponse) -> Fields:
        """The fields of a 1xx response."""
        if self.state != NEW:
            raise ResponseError("the application sent an interim response after the final one")
        if not 100 <= event.status <= 199 or event.status == SWITCHING_PROTOCOLS:
            raise ResponseError(f"the application sent {event.status} as an interim response")
        return response_fields(event.status, event.headers, date=False)[0]

    def open(self, status: int, headers: Headers, data: bytes, ended: bool) -> tuple[Fields, bytes]:
        """`start` and `data` in one; if it raises, it is as if nothing had been sent."""
        fields = self.start(status, headers)
        try:
            return fields, self.data(data, ended)
        except ResponseError:
            self.state = NEW
            self.tunnel = False
            self._left = -1
            raise

    def start(self, status: int, headers: Headers) -> Fields:
        """The fields of the final response."""
        if self.state != NEW:
            raise ResponseError("the application started a second response to one request")
        if status < 200:
            status = self._switch(status)
        fields, length = response_fields(status, headers)
        if self._with_content and status in _WITHOUT_CONTENT:
            self._left = 0
        elif self._with_content:
            self._left = length
        self.state = STARTED
        return fields

    def _switch(self, status: int) -> int:
        if status != SWITCHING_PROTOCOLS:
            raise ResponseError(f"the application sent {status} as a final response")
        if not self.upgradable:
            raise ResponseError("the application sent 101, but the request asked for no upgrade")
        self.tunnel = True
        return 200

    def data(self, data: bytes, ended: bool) -> bytes:
        """The bytes of the body to send; none for HEAD (RFC 9110 section 9.3.2)."""
        if self.state != STARTED:
            raise ResponseError("the application sent a body outside of a response")
        if not self._with_content:
            data = b""
        elif self._left >= 0:
            self._count(len(data), ended)
        if ended:
            self.state = COMPLETE
        return data

    def end(self) -> None:
        """The body is complete, and trailers follow."""
        if self.state != STARTED:
            raise ResponseError("the application sent trailers outside of a response")
        if self._left > 0:
            raise ResponseError(f"the application sent {self._left} bytes under its Content-Length")
        self.state = COMPLETE

    def _count(self, size: int, ended: bool) -> None:
        self._left -= size
        if self._left < 0:
            raise ResponseError(f"the application sent {-self._left} bytes over its Content-Length")
        if ended and self._left:
            raise ResponseError(f"the application sent {self._left} bytes under its Content-Length")


def promised_fields(
    method: str, scheme: bytes, authority: bytes, path: bytes, headers: Headers
) -> Headers:
    """The request that a push promises (RFC 9113 section 8.4)."""
    fields: Headers = [
        (b":method", method.encode()),
        (b":scheme", scheme),
        (b":authority", authority),
        (b":path", path),
    ]
    return fields + [(name.lower(), value) for name, value in headers if name.lower() != b"host"]
