"""What JetStream answers: messages, and refusals in words.

What lives here: answers as values and exceptions. What must not: asking (`api`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from seaway.exceptions import ConfigurationError, LayerError
from seaway.layers.nats import headers
from seaway.layers.nats.requests import Message, NobodyThere

NOT_FOUND, NAME_IN_USE = 10037, 10058
_STREAM_MISSING = 10059
_WRONG_SEQUENCE = {10071, 10164}
#: JetStream is without a leader, or starting.
_PASSING = {10004, 10005, 10007, 10008, 10009, 10014, 10018, 10074, 10101, 10106}
_DISABLED = {10035, 10039, 10076}
#: No further consumer is allowed, by the account or by a default of the server's (2.14 and later).
TOO_MANY_CONSUMERS = 10026
_FULL = re.compile(r"maximum|insufficient|resource|limit|no space|exceed", re.IGNORECASE)
_LAST = re.compile(r"(\d+)\s*$")


class Conflict(Exception):
    """The condition does not hold: the last sequence is another one."""

    def __init__(self, last: int) -> None:
        super().__init__(f"the last sequence is {last}")
        self.last = last


class Stored(msgspec.Struct, frozen=True):
    """A message as it is stored. ``time``: seconds since 1970."""

    subject: str
    sequence: int
    header: bytes
    data: bytes
    time: float


class Passing(Exception):
    """Refused for a reason that passes by itself."""


class Refused(LayerError):
    """JetStream says no.

    :ivar code: the server's.
    """

    def __init__(self, code: int, description: str) -> None:
        if code in _DISABLED:
            text = "JetStream is not enabled for this account of the layer's NATS."
        elif code == TOO_MANY_CONSUMERS:
            text = (
                f"The layer's NATS allows no further consumer: {description}. Each process has one "
                "for each channel in use; see max_consumers of the "
                "account, and of the stream."
            )
        elif _FULL.search(description):
            text = f"The storage of the layer's NATS is full: {description}. Nothing was stored."
        else:
            text = f"The layer's NATS refused: {description} ({code})."
        super().__init__(text)
        self.code = code
        self.description = description


def sequence_of(data: bytes) -> int:
    """The sequence that the answer to storing names.

    :raises Conflict, Refused, Passing: it was not stored.
    """
    answer = _decoded(data)
    _check(answer)
    return int(answer["seq"])


def api_answer(message: Message) -> Any:
    """What the JetStream API answers.

    :raises Refused, Passing, NobodyThere: it is an error.
    """
    answer = _decoded(message.data)
    _check(answer)
    return answer


def _decoded(data: bytes) -> Any:
    try:
        answer = msgspec.json.decode(data)
    except msgspec.DecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise LayerError("The layer's NATS answered nonsense.")
    return answer


def _check(answer: Mapping[str, Any]) -> None:
    error = answer.get("error")
    if not error:
        return
    code, description = error.get("err_code", 0), str(error.get("description", ""))
    if code in _WRONG_SEQUENCE:
        last = _LAST.search(description)
        raise Conflict(int(last[1]) if last else -1)
    if code == _STREAM_MISSING:
        raise NobodyThere("a stream is not there")
    if code in _PASSING or (error.get("code") == 503 and not _FULL.search(description)):
        raise Passing(description)
    raise Refused(code, description)


def stored(message: Message) -> Stored:
    """A message that came as the answer to a direct get."""
    header = message.header
    return Stored(
        (headers.value(header, headers.SUBJECT) or b"").decode(),
        headers.number(header, headers.SEQUENCE),
        header,
        message.data,
        headers.seconds(headers.value(header, headers.TIME)),
    )


def stream_trouble(error: Refused, name: str) -> ConfigurationError:
    """Why a stream cannot be made, for the operator."""
    words = f"The stream {name} of LAYER's NATS cannot be made: {error.description}."
    if error.code in _DISABLED:
        words = "LAYER's NATS has no JetStream for this account: enable it (nats-server -js)."
    elif "replica" in error.description or "peers" in error.description:
        words += " The option replicas says how many copies there are to be."
    elif _FULL.search(error.description):
        words += " Its account's limits (nats account info) leave no room for it."
    return ConfigurationError(words)
