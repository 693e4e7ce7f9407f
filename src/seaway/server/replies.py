"""What the server answers by itself, when no application is asked or none has answered.

What lives here: the words and headers of those responses.
What must not: decisions about when to send them (`connection`).
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from seaway.protocol.events import Headers
from seaway.server.config import ServerConfig

#: Seconds over which clients come back when nothing else is said (the wire protocol, "Closing").
RECONNECT_SECONDS = 5.0

Header = tuple[bytes, bytes]

#: For a head that did not arrive in time: no request yet that `protocol.http1` could answer.
REQUEST_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
#: For a connection over the limit, before anything of it is read.
OVERLOADED = (
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\n"
    b"content-length: 0\r\n\r\n"
)
#: For a connection over the limit of its address (RFC 6585 section 4).
TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nconnection: close\r\nretry-after: 5\r\n"
    b"content-length: 0\r\n\r\n"
)
#: For a request in the clear to a port that is for TLS.
_SPEAK_TLS = b"400 Bad Request: this port is for HTTPS; the request came without TLS\n"
NOT_TLS = (
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_SPEAK_TLS), _SPEAK_TLS)
)


def restart_reason(config: ServerConfig) -> str:
    """What is said with 1012. The window is named when it is not the wire protocol's own."""
    if config.reconnect_window == RECONNECT_SECONDS:
        return "service restart"
    return f"service restart; within={round(config.reconnect_window * 1000)}"


def plain_response(
    default: Headers, status: int, reason: str, more: Iterable[Header]
) -> tuple[Headers, bytes]:
    """Headers and body of a text that says the status and, if there is one, the reason.

    :param default: the headers that all of the server's responses have, and ``more`` this one's.

    With ``connection: close``: these responses end their connection.
    """
    text = f"{status} {_phrase(status)}"
    body = f"{text}: {reason}\n".encode() if reason else f"{text}\n".encode()
    headers = [
        *default,
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *more,
    ]
    return headers, body


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
