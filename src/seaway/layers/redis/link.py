"""One connection to one server, in RESP3: commands in, answers and news out.

What lives here: the asyncio protocol around hiredis' parser. What must not: reconnecting, retrying
or the meaning of an answer; that is `pipe`'s and `engine`'s.

Answers come in the order of their commands. News (pushes) come in between, in the order in which
the server did things: so what is pushed before an answer happened before its command ran. The
confirmation of a subscription is a push, too, and stands in the place of its answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast

from hiredis import ProtocolError as Garbage
from hiredis import PushNotification, Reader, ReplyError, pack_command

#: Takes an answer: what the server said, or a `ReplyError`.
Answered = Callable[[Any], None]

_NOTHING = object()

#: A command as it goes over the wire. (Its stub asks for tuples of one.)
pack: Callable[[tuple[bytes, ...]], bytes] = cast("Any", pack_command)


class LinkOwner(Protocol):
    """Who a link tells what happens to it."""

    def told(self, channel: bytes, data: bytes) -> None:
        """News on a channel that was subscribed to."""

    def dropped(self, channel: bytes) -> None:
        """The server ended a subscription by itself: its slot has moved to another one."""

    def lost(self, link: Link) -> None:
        """The connection is gone; what `Link.unanswered` holds will not be answered."""


class Link(asyncio.Protocol):
    """A connection from its making to its end."""

    __slots__ = (
        "_loop",
        "_out",
        "_owner",
        "_reader",
        "_transport",
        "heard",
        "trouble",
        "unanswered",
    )

    def __init__(self, owner: LinkOwner) -> None:
        self._owner = owner
        self._reader = Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        #: Commands that are written when this turn of the loop is over.
        self._out: list[bytes] = []
        #: In the order of their commands, each with the (kind, channel) of the confirmation that
        #: takes the place of its answer, if one does.
        self.unanswered: deque[tuple[Answered, tuple[bytes, bytes] | None]] = deque()
        self.heard = 0
        self.trouble = "the server hung up"

    @property
    def open(self) -> bool:
        return self._transport is not None

    # Commands ------------------------------------------------------------------------------------

    def ask(self, answered: Answered, *parts: bytes) -> None:
        """Write a command; ``answered`` is called when its answer is read."""
        self.write(answered, pack(parts))

    def subscribe(self, answered: Answered, channel: bytes) -> None:
        """Subscribe to a shard channel."""
        self.write(answered, pack((b"SSUBSCRIBE", channel)), (b"ssubscribe", channel))

    def unsubscribe(self, answered: Answered, channel: bytes) -> None:
        """Undo that."""
        self.write(answered, pack((b"SUNSUBSCRIBE", channel)), (b"sunsubscribe", channel))

    def write(
        self, answered: Answered, frame: bytes, confirmed: tuple[bytes, bytes] | None = None
    ) -> None:
        """Write a packed command.

        At once when no answer is awaited; else with what else comes in this turn of the loop, in
        one system call: Nagle's algorithm (RFC 896), which costs nobody a wait here.
        """
        if self._transport is not None:
            if not self.unanswered:
                self._transport.write(frame)
            else:
                if not self._out:
                    self._loop.call_soon(self._flush)
                self._out.append(frame)
        self.unanswered.append((answered, confirmed))

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None:
            self._transport.write(b"".join(out))

    def abort(self, trouble: str) -> None:
        """Hang up; `LinkOwner.lost` is called soon."""
        self.trouble = trouble
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Hang up for good, without a word to the owner."""
        self._flush()
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def forked(self) -> asyncio.Transport | None:
        """Let go of the connection, which is the parent's; the transport has to be kept."""
        transport, self._transport = self._transport, None
        return transport

    # asyncio.Protocol ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not its subclasses

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            if exc is not None:
                self.trouble = str(exc) or type(exc).__name__
            self._owner.lost(self)

    def data_received(self, data: bytes) -> None:
        reader, nothing = self._reader, _NOTHING
        self.heard += 1
        reader.feed(data)
        try:
            while (reply := reader.gets()) is not nothing:
                if type(reply) is PushNotification:
                    if reply[0] == b"smessage":
                        self._owner.told(reply[1], reply[2])
                    else:
                        self._confirmed(reply)
                elif self.unanswered:
                    self.unanswered.popleft()[0](reply)
                else:
                    self.abort("the server answered what it was not asked")
                    return
        except Garbage as error:
            self.abort(f"what came is not Redis' protocol ({error})")

    def _confirmed(self, push: list[Any]) -> None:
        """A subscription began or ended: as asked for, or by the server itself."""
        if self.unanswered and self.unanswered[0][1] == (push[0], push[1]):
            self.unanswered.popleft()[0](push)
            return
        if push[0] == b"sunsubscribe" and push[1] is not None:
            self._owner.dropped(push[1])


def failed(answer: Any) -> bool:
    """Whether an answer is the server's refusal."""
    return isinstance(answer, ReplyError)
