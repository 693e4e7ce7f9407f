"""Seaway's own wire protocol, version 1: docs/reference/protocol.md is its specification.

What lives here: that protocol's messages, decoded and encoded.
What must not: state, framing, or what a request does.

Events, snapshots and members arrive here as JSON already (encoded once by their publisher), and are
spliced into messages as bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from seaway.dialects.base import Call, Heartbeat, Join, Leave, Request
from seaway.exceptions import BadMessage, TopicError
from seaway.layers.base import Headcount, Position, PresenceChange, Publication
from seaway.topics.decoding import event_object, readable_members

VERSION = 1
SUBPROTOCOL = "seaway.v1"

#: JavaScript's Number.MAX_SAFE_INTEGER: what every JSON reader can hold.
_Integer = Annotated[int, Meta(ge=-(2**53) + 1, le=2**53 - 1)]
_Key = Annotated[str, Meta(min_length=16, max_length=64)]
_Offset = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class _Since(msgspec.Struct):
    epoch: str
    offset: _Offset


class _Join(msgspec.Struct, tag="join"):
    id: _Integer
    topic: str
    since: _Since | msgspec.UnsetType = msgspec.UNSET

    def request(self) -> Request:
        since = self.since
        if isinstance(since, msgspec.UnsetType):
            return Join(self.id, self.topic)
        return Join(self.id, self.topic, Position(since.epoch, since.offset))


class _Leave(msgspec.Struct, tag="leave"):
    id: _Integer
    topic: str

    def request(self) -> Request:
        return Leave(self.id, self.topic)


class _Call(msgspec.Struct, tag="call"):
    id: _Integer
    topic: str
    action: str
    args: msgspec.Raw = msgspec.Raw(b"{}")
    key: _Key | msgspec.UnsetType = msgspec.UNSET

    def request(self) -> Request:
        args = bytes(self.args)
        if not args.startswith(b"{"):
            raise BadMessage("Object expected - at `$.args`")
        key = self.key
        if isinstance(key, msgspec.UnsetType):
            return Call(self.id, self.topic, self.action, args)
        return Call(self.id, self.topic, self.action, args, key)


class _Ping(msgspec.Struct, tag="ping"):
    def request(self) -> Request:
        return _HEARTBEAT


_HEARTBEAT = Heartbeat()
_PONG = b'{"type":"pong"}'
_Message = _Join | _Leave | _Call | _Ping
_decoder: msgspec.json.Decoder[_Message] = msgspec.json.Decoder(_Message)
_json = msgspec.json.encode


def _array(items: Sequence[bytes]) -> bytes:
    return b"[%b]" % b",".join(readable_members(items))


class SeawayDialect:
    """Version 1. Use the one instance, `DIALECT`."""

    def decode(self, message: str | bytes) -> Request:
        try:
            return _decoder.decode(message).request()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadMessage(str(error)) from None

    def welcome(self, connection: str, ping_seconds: float) -> bytes:
        return _json(
            {
                "type": "welcome",
                "version": VERSION,
                "connection": connection,
                "ping": round(ping_seconds * 1000),
            }
        )

    def joined(
        self,
        request: Join,
        position: Position,
        recovered: bool,
        data: bytes,
        present: Sequence[bytes] | Headcount | None,
    ) -> bytes:
        head = _json(
            {
                "type": "joined",
                "id": request.id,
                "topic": request.topic,
                "epoch": position.epoch,
                "offset": position.offset,
                "recovered": recovered,
            }
        )
        tail = b""
        if isinstance(present, Headcount):
            tail = b',"headcount":' + _json(present)
        elif present is not None:
            tail = b',"members":' + _array(present)
        return b'%b,"data":%b%b}' % (head[:-1], data, tail)

    def left(self, request: Leave) -> bytes:
        return _json({"type": "left", "id": request.id, "topic": request.topic})

    def reply(self, request: Call, data: bytes) -> bytes:
        return b'{"type":"reply","id":%d,"data":%b}' % (request.id, data)

    def error(self, request: Join | Leave | Call, error: TopicError) -> bytes:
        message: dict[str, Any] = {
            "type": "error",
            "id": request.id,
            "code": error.code,
            "message": error.message,
        }
        if error.data is not None:
            message["data"] = error.data
        return _json(message)

    def heartbeat(self) -> bytes:
        return _PONG

    def event(self, topic: str, publication: Publication) -> bytes:
        # One JSON object with ``event`` and ``data``: what follows its brace goes on the wire as it
        # is.
        return b'{"type":"event","topic":"%b","offset":%d,%b' % (
            topic.encode(),
            publication.position.offset,
            event_object(publication.data)[1:],
        )

    def gap(self, topic: str) -> bytes:
        return b'{"type":"gap","topic":"%b"}' % topic.encode()

    def presence(self, topic: str, change: PresenceChange) -> bytes:
        return b'{"type":"presence","topic":"%b","entered":%b,"left":%b}' % (
            topic.encode(),
            _array(list(change.entered.values())),
            _json(list(change.left)),
        )

    def members(self, topic: str, members: Sequence[bytes]) -> bytes:
        return b'{"type":"presence","topic":"%b","members":%b}' % (topic.encode(), _array(members))

    def headcount(self, topic: str, count: Headcount) -> bytes:
        return b'{"type":"headcount","topic":"%b","members":%d,"people":%d}' % (
            topic.encode(),
            count.members,
            count.people,
        )


DIALECT = SeawayDialect()
