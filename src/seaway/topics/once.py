"""Calls that take effect once, however often and wherever their clients repeat them.

What lives here: the short-lived record of such a call, a stream of two events in the layer: that an
attempt has begun, and what it answered. What must not: running the action.

Order: the record says "begun" before the action runs, and only the attempt whose word stands there
first runs it. So a process that dies in between leaves a call of which nobody can know how far it
came, but never one that runs twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from seaway.conf import layer_home
from seaway.exceptions import EventsMissed, LayerError, OutcomeUnknown, TopicError
from seaway.layers.base import History, Layer, Page, Position
from seaway.topics.encoding import encode_event, encode_json
from seaway.topics.follow import Follower

logger = logging.getLogger("seaway.topics")

#: How long an answer is remembered.
RECORD = History(size=2, seconds=600.0)
#: Seconds that a repetition waits for the answer of an attempt that has begun.
PATIENCE = 30.0


async def answer_once(
    topic: str, action: str, key: str, run: Callable[[], Awaitable[bytes]]
) -> bytes:
    """The answer of the one run that there is of a call, as JSON.

    :param key: the client's, unguessable: who knows it gets the answer.
    :param run: runs the action; called by one attempt only.
    :raises TopicError: what the action answered; `OutcomeUnknown`: it has not answered.
    :raises LayerUnavailable: the record cannot be made; the action has not run.
    """
    name = _record_of(topic, action, key)
    word = secrets.token_urlsafe(12)
    found = await layer_home().arun(lambda layer: _begin(layer, name, word))
    if found.word != word:
        return await _answer_of(name, found.begun)
    try:
        answer = await run()
    except TopicError as error:
        await _remember(name, "error", [error.code, error.message, error.data])
        raise
    await _remember(name, "reply", msgspec.Raw(answer))
    return answer


class _Found(msgspec.Struct):
    """The first event of a record: the word of the attempt that runs the action."""

    begun: Position
    word: str


class _Begun(msgspec.Struct):
    data: str


_decode_begun = msgspec.json.Decoder(_Begun).decode


def _record_of(topic: str, action: str, key: str) -> str:
    call = msgspec.json.encode([topic, action, key])
    return f"~calls/{hashlib.sha256(call).hexdigest()[:40]}"


async def _begin(layer: Layer, name: str, word: str) -> _Found:
    begun = await layer.publish(name, encode_event("begun", word), RECORD, once="begun")
    page = await layer.read(name, Position(begun.epoch, begun.offset - 1), limit=1)
    if not isinstance(page, Page) or not page.publications:
        raise OutcomeUnknown("What is remembered of this call was lost.")
    return _Found(begun, _decode_begun(page.publications[0].data).data)


async def _answer_of(name: str, begun: Position) -> bytes:
    """What another attempt answers, or has answered."""
    try:
        async with asyncio.timeout(PATIENCE):
            async with Follower(name, replayable=True, since=begun) as follower:
                event = await follower.receive()
    except (TimeoutError, EventsMissed):
        raise OutcomeUnknown(
            "This call was begun before and has not ended: whether it took effect is not known."
        ) from None
    if event.name == "reply":
        return encode_json(event.payload, "The result")
    code, message, data = event.payload
    error = TopicError(message, data=data)
    error.code = code
    raise error


async def _remember(name: str, kind: str, answer: Any) -> None:
    """For those who ask again. The caller gets its answer in any case."""
    data = encode_event(kind, answer)
    try:
        await layer_home().arun(lambda layer: layer.publish(name, data, RECORD, once="ended"))
    except LayerError as error:
        logger.warning("the answer to a call cannot be remembered: %s", error)
