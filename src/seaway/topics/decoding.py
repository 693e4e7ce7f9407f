"""JSON that others have put into the layer, looked at before it is passed on to clients.

What lives here: whether data of an event, or what a member says of itself, can be spliced into a
message. What must not: what is encoded here, in this process (`encoding`).

Programs in any language publish by the layer's wire, and processes may differ in `ENCRYPTION_KEYS`.
One piece of data that is not JSON would make every client that gets it hang up, come back, resume,
and get it again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import msgspec

from seaway.layers.stream import Unsayable

logger = logging.getLogger("seaway.topics")

#: How data begins that `seaway.layers.cipher` has sealed; no JSON does.
_SEALED = b"\x01"


class EventParts(msgspec.Struct, forbid_unknown_fields=True):
    """The data of an event: nothing else may be in it, since it shares an object with more."""

    event: str
    data: msgspec.Raw


_decode = msgspec.json.Decoder(EventParts).decode


class _Members:
    """What has been said of members that cannot be read."""

    told = False


def event_parts(data: bytes) -> EventParts:
    """The name and the payload of an event as the layer carries it.

    :raises Unsayable: it is not ``{"event":NAME,"data":PAYLOAD}`` in UTF-8.
    """
    try:
        parts = _decode(data)
        if not data.isascii():
            data.decode()  # the decoder looks only for the end of a payload's strings
    except ValueError as error:
        raise Unsayable(_reason(data, error)) from error
    return parts


def event_object(data: bytes) -> bytes:
    """The same as one JSON object on one line, without white space around it.

    :raises Unsayable: as `event_parts`.
    """
    event_parts(data)
    if data[:1] != b"{" or data[-1:] != b"}" or b"\n" in data or b"\r" in data:
        return msgspec.json.format(data, indent=-1)
    return data


def readable_members(infos: Iterable[bytes]) -> list[bytes]:
    """Those that are JSON objects as Seaway writes them; the first other one is logged."""
    found: list[bytes] = []
    left_out: list[bytes] = []
    for info in infos:
        readable = info[:1] == b"{" and info[-1:] == b"}"
        (found if readable else left_out).append(info)
    if left_out and not _Members.told:
        _Members.told = True
        sealed = left_out[0][:1] == _SEALED
        why = "encrypted, and ENCRYPTION_KEYS is empty here" if sealed else "not JSON"
        logger.error("What a member says of itself is %s. Further ones are left out, too.", why)
    return found


def _reason(data: bytes, error: ValueError) -> str:
    if data[:1] == _SEALED:
        return "its data are encrypted, and ENCRYPTION_KEYS is empty in this process"
    return f"its data are not an event in JSON: {error}"
