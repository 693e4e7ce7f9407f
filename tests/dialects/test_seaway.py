"""Seaway's wire protocol, held against the vectors that the JavaScript client is held against."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.dialects.base import Call, Heartbeat, Join, Leave, Request, framed
from seaway.dialects.seaway import DIALECT
from seaway.exceptions import ActionError, BadMessage, reconnects_after
from seaway.layers.base import Headcount, Position, PresenceChange, Publication

VECTORS = json.loads(
    (Path(__file__).parent.parent / "vectors" / "protocol-v1.json").read_text(encoding="utf-8")
)
CLIENT_MESSAGES = VECTORS["client_messages"]
SERVER_MESSAGES = [row for row in VECTORS["server_messages"] if row["canonical"]]


def name_of(row: Any) -> str:
    return str(row["name"])


def as_dict(request: Request) -> dict[str, Any]:
    """A request in the words of the vectors."""
    if isinstance(request, Heartbeat):
        return {"type": "ping"}
    message: dict[str, Any] = {"id": request.id, "topic": request.topic}
    if isinstance(request, Join):
        message["type"] = "join"
        if request.since is not None:
            message["since"] = {"epoch": request.since.epoch, "offset": request.since.offset}
    elif isinstance(request, Call):
        message |= {"type": "call", "action": request.action, "args": json.loads(request.args)}
        if request.key:
            message["key"] = request.key
    else:
        message["type"] = "leave"
    return message


@pytest.mark.parametrize("row", [row for row in CLIENT_MESSAGES if row["valid"]], ids=name_of)
def test_a_valid_message_is_understood(row: dict[str, Any]) -> None:
    expected = dict(row["decoded"])
    if expected["type"] == "call":
        expected.setdefault("args", {})
    known = {"type", "id", "topic", "since", "action", "args", "key"}
    assert as_dict(DIALECT.decode(row["text"])) == {
        key: value for key, value in expected.items() if key in known
    }


@pytest.mark.parametrize("row", [row for row in CLIENT_MESSAGES if not row["valid"]], ids=name_of)
def test_an_invalid_message_is_the_clients_fault(row: dict[str, Any]) -> None:
    with pytest.raises(BadMessage) as caught:
        DIALECT.decode(row["text"])
    assert caught.value.close_code == 4500
    assert caught.value.reason


@given(st.one_of(st.text(), st.binary()))
def test_no_bytes_raise_anything_but_bad_message(data: str | bytes) -> None:
    with contextlib.suppress(BadMessage):
        DIALECT.decode(data)


def _positions(message: dict[str, Any]) -> Position:
    return Position(message["epoch"], message["offset"])


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _members(message: dict[str, Any], key: str = "members") -> list[bytes] | None:
    return [_json(member) for member in message[key]] if key in message else None


def _encode_joined(message: dict[str, Any]) -> bytes:
    return DIALECT.joined(
        Join(message["id"], message["topic"]),
        _positions(message),
        message["recovered"],
        _json(message["data"]),
        _headcount(message["headcount"]) if "headcount" in message else _members(message),
    )


def _headcount(message: dict[str, Any]) -> Headcount:
    return Headcount(message["members"], message["people"])


def _encode_error(message: dict[str, Any]) -> bytes:
    error = ActionError(message["message"], code=message["code"], data=message.get("data"))
    return DIALECT.error(Leave(message["id"], "t"), error)


def _encode_event(message: dict[str, Any]) -> bytes:
    data = _json({"event": message["event"], "data": message["data"]})
    return DIALECT.event(message["topic"], Publication(Position("e", message["offset"]), data))


def _encode_presence(message: dict[str, Any]) -> bytes:
    members = _members(message)
    if members is not None:
        return DIALECT.members(message["topic"], members)
    entered = {member["id"]: _json(member) for member in message["entered"]}
    return DIALECT.presence(message["topic"], PresenceChange(entered, message["left"]))


ENCODERS: dict[str, Callable[[dict[str, Any]], bytes | None]] = {
    "welcome": lambda message: DIALECT.welcome(message["connection"], message["ping"] / 1000),
    "joined": _encode_joined,
    "left": lambda message: DIALECT.left(Leave(message["id"], message["topic"])),
    "reply": lambda message: DIALECT.reply(
        Call(message["id"], "t", "a", b"{}"), _json(message["data"])
    ),
    "error": _encode_error,
    "event": _encode_event,
    "gap": lambda message: DIALECT.gap(message["topic"]),
    "presence": _encode_presence,
    "headcount": lambda message: DIALECT.headcount(message["topic"], _headcount(message)),
    "pong": lambda message: DIALECT.heartbeat(),
}


@pytest.mark.parametrize("row", SERVER_MESSAGES, ids=name_of)
def test_a_server_message_is_written_as_specified(row: dict[str, Any]) -> None:
    message = row["decoded"]
    assert (ENCODERS[message["type"]](message) or b"").decode() == row["text"]


def test_every_server_message_has_a_vector() -> None:
    assert {row["decoded"]["type"] for row in SERVER_MESSAGES} == set(ENCODERS)


@pytest.mark.parametrize(("code", "reconnects"), VECTORS["close_codes"].items())
def test_server_and_client_agree_when_to_reconnect(code: str, reconnects: bool) -> None:
    assert reconnects_after(int(code)) is reconnects


def test_connections_that_speak_alike_share_one_encoding() -> None:
    def frame(message: bytes) -> bytes:
        return b"<" + message + b">"

    encoding = framed(DIALECT, frame)
    assert framed(DIALECT, frame) is encoding
    assert encoding.gap("t") == b'<{"type":"gap","topic":"t"}>'
    assert msgspec.json.decode(encoding.members("t", [b"{}"])[1:-1])["members"] == [{}]
