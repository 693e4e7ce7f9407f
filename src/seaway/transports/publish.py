"""Publishing by HTTP POST, for programs in any language that hold a key.

What lives here: the request and its answer.
What must not: visitors, cookies and pages: a key stands for a program of ours.
"""

from __future__ import annotations

import functools
import hmac
from typing import Any

import msgspec

from seaway.conf import layer_home, seaway_settings
from seaway.exceptions import LayerError, SeawayError, UnknownTopic
from seaway.layers.base import History, Layer, Position, check_size
from seaway.topics.encoding import encode_event
from seaway.topics.registry import registry
from seaway.transports.http import (
    Refusal,
    Scope,
    check_method,
    decode_body,
    header,
    read_body,
    respond,
)
from seaway.transports.relay import Receive, Send

#: Bytes of a request beside its one largest event.
_ROOM = 4 * 1024 * 1024
#: Events of one request.
MOST_EVENTS = 1000


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    topic: str
    event: str
    data: Any = None


class _Ready(msgspec.Struct, frozen=True):
    """An event that will not be refused."""

    topic: str
    history: History | None
    data: bytes


_body = msgspec.json.Decoder(_Event | list[_Event])


async def serve_publish(scope: Scope, receive: Receive, send: Send) -> None:
    """``POST publish``: one event, or a list of them in order."""
    settings = seaway_settings()
    if not settings.PUBLISH_KEYS:
        words = 'Publishing by HTTP is off: SEAWAY["PUBLISH_KEYS"] is empty.'
        raise Refusal(404, "not_found", words)
    check_method(scope, "POST")
    _check_key(scope, settings.PUBLISH_KEYS)
    body = decode_body(await read_body(receive, settings.MAX_EVENT_BYTES + _ROOM), _body)
    events = body if isinstance(body, list) else [body]
    if len(events) > MOST_EVENTS:
        raise Refusal(413, "too_large", f"At most {MOST_EVENTS} events in one request.")
    ready = [
        _prepare(event, number, settings.MAX_EVENT_BYTES) for number, event in enumerate(events)
    ]
    published = await _publish(ready)
    answer = published if isinstance(body, list) else published[0]
    await respond(send, 200, msgspec.json.encode(answer))


def _check_key(scope: Scope, keys: list[str]) -> None:
    scheme, _, given = (header(scope, b"authorization") or "").partition(" ")
    # All of them, whichever fits: time tells nothing. An empty key is a variable that was not set.
    token = given.strip().encode()
    fits = [hmac.compare_digest(token, key.encode()) for key in keys if key]
    if scheme.lower() != "bearer" or not any(fits):
        words = "Send Authorization: Bearer and one of this server's publishing keys."
        challenge = [(b"www-authenticate", b'Bearer realm="seaway"')]
        raise Refusal(401, "unauthorized", words, headers=challenge)


def _prepare(event: _Event, number: int, limit: int) -> _Ready:
    """Check everything that can be wrong with an event before any is published."""
    try:
        topic_class, _ = registry.resolve(event.topic)
        data = encode_event(event.event, event.data)
        check_size(data, limit)
    except UnknownTopic as error:
        raise Refusal(404, error.code, error.message, index=number) from None
    except LayerError as error:
        raise Refusal(400, "invalid_event", str(error), index=number) from None
    return _Ready(event.topic, topic_class.history, data)


async def _publish(events: list[_Ready]) -> list[dict[str, object]]:
    """Publish in order; when the layer fails on the way, the answer tells how far it came."""
    published: list[dict[str, object]] = []
    for event in events:
        try:
            position = await layer_home().arun(functools.partial(_publish_one, event))
        except SeawayError as error:
            words = f"Whether this event was published is not known: {error}"
            raise Refusal(
                503, "unavailable", words, index=len(published), published=published
            ) from error
        published.append({"topic": event.topic, "epoch": position.epoch, "offset": position.offset})
    return published


async def _publish_one(event: _Ready, layer: Layer) -> Position:
    return await layer.publish(event.topic, event.data, event.history)
