"""What the transports over plain HTTP share: reading a request, answering it, saying no.

What lives here: ASGI's HTTP messages, cross-origin headers, refusals.
What must not: what is asked for, and who may ask.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from seaway.exceptions import LayerError, SeawayError
from seaway.origin import request_allowed
from seaway.transports.relay import Receive, Send

T = TypeVar("T")
Scope = dict[str, Any]
Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"
#: Answers that concern one visitor at one moment; and what proxies must not hold back.
LIVE: Headers = [(b"cache-control", b"no-store, no-transform"), (b"x-accel-buffering", b"no")]

_FOREIGN_PAGE = (
    "Pages of this origin are not allowed: add its host to ALLOWED_HOSTS, or the origin to "
    'SEAWAY["ALLOWED_ORIGINS"].'
)
#: Seconds for which a browser may remember what a preflight said.
_PREFLIGHT_SECONDS = b"600"


class Refusal(SeawayError):
    """A request that is answered with an error.

    :param code: for programs; ``message``, one sentence for people.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        headers: Sequence[tuple[bytes, bytes]] = (),
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body = msgspec.json.encode({"code": code, "message": message, **more})


class Disconnected(Exception):
    """The client has gone before its request was answered: nobody is there to be told."""


@contextlib.asynccontextmanager
async def refusing(scope: Scope, send: Send) -> AsyncIterator[None]:
    """Answer what the block refuses; a layer that cannot be reached is 503."""
    try:
        try:
            yield
        except LayerError as error:
            words = f"The layer cannot be reached; try again later. ({error})"
            raise Refusal(503, "unavailable", words, headers=[(b"retry-after", b"5")]) from error
    except Refusal as refusal:
        headers = [*refusal.headers, *cross_origin(scope)]
        await respond(send, refusal.status, refusal.body, headers)
    except (Disconnected, OSError):
        return


async def respond(
    send: Send,
    status: int,
    body: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
    *,
    kind: bytes = JSON,
) -> None:
    """One whole response."""
    fields = [*headers, (b"cache-control", b"no-store")]
    if status != 204:
        fields += [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Receive, limit: int) -> bytes:
    """The request's body. Raises `Refusal` (413) over ``limit`` bytes, and `Disconnected`."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > limit:
            raise Refusal(413, "too_large", f"The body is over the limit of {limit:,} bytes.")
        more = message.get("more_body", False)
    return b"".join(parts)


def decode_body(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """The body's JSON in its shape. Raises `Refusal` (400) that says where it is wrong."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, "invalid_request", f"The body is not as it should be: {error}") from None


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``; cancelled with `Disconnected` when the client goes before it."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Disconnected
    finally:
        for each in (task, gone):
            if not each.done():
                each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        """A body that nobody asked for."""


def header(scope: Scope, name: bytes) -> str | None:
    """The value of a request header; the last of several."""
    value = dict(scope["headers"]).get(name)
    return None if value is None else value.decode("latin-1")


def check_origin(scope: Scope) -> None:
    """Raises `Refusal` (403) unless the page behind the request may act for its visitor."""
    if not request_allowed(scope):
        raise Refusal(403, "forbidden_origin", _FOREIGN_PAGE)


def check_method(scope: Scope, method: str) -> None:
    """Raises `Refusal` (405) for any other."""
    if scope["method"] != method:
        allow = [(b"allow", f"{method}, OPTIONS".encode())]
        words = f"Use {method} here, not {scope['method']}."
        raise Refusal(405, "wrong_method", words, headers=allow)


def cross_origin(scope: Scope) -> Headers:
    """What lets a page of another origin read the answer, if it is allowed to (Fetch, CORS)."""
    origin = header(scope, b"origin")
    vary = (b"vary", b"origin")
    if origin is None or not request_allowed(scope):
        return [vary]
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        vary,
    ]


async def answer_preflight(scope: Scope, send: Send, method: str) -> None:
    """OPTIONS: what a browser asks before it lets a page of another origin send the request."""
    check_origin(scope)
    allow = [
        (b"access-control-allow-methods", method.encode()),
        (b"access-control-allow-headers", b"content-type, last-event-id, cache-control"),
        (b"access-control-max-age", _PREFLIGHT_SECONDS),
    ]
    await respond(send, 204, headers=[*allow, *cross_origin(scope)])
