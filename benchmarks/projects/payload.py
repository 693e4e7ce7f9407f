"""What every contestant sends, so that all of them send the same number of bytes.

What lives here: the sizes and the events made from them.
What must not: anything about a particular server.
"""

from __future__ import annotations

#: Bytes of one event's WebSocket message, without the two bytes of frame header.
EVENT_BYTES = 120

#: The event of the peers, who have no message format of their own.
EVENT = "x" * EVENT_BYTES


def event_number(number: int) -> str:
    """The same with another text each time, as events have: what is made of a text is not made once
    for all of them."""
    return f"{number:06d}{EVENT[6:]}"


#: The topic that the Seaway project serves, and its name on the wire.
TOPIC = "bench/fanout"

#: Seaway's event message around the data, with an offset of four digits: runs are short, so offsets
#: have one to five, and the average is within a byte of `EVENT_BYTES`.
_ENVELOPE = (
    f'{{"type":"event","topic":"{TOPIC}","offset":1000,"event":"tick","data":{{"text":""}}}}'
)

#: The data of Seaway's event: fills its message up to `EVENT_BYTES`.
EVENT_DATA = {"text": "x" * (EVENT_BYTES - len(_ENVELOPE))}
