"""The contract by which an ASGI application takes a connection over from its coroutine.

What lives here: the two halves of the ASGI extension ``seaway.handoff`` and the names of both.
What must not: an implementation; `websocket_stream` has the sink, `seaway.connections` the handler.

An application that finds ``"seaway.handoff"`` in ``scope["extensions"]`` may, after it has sent
``websocket.accept``, call ``scope["extensions"]["seaway.handoff"]["take"](handler)``. It gets the
connection's `Sink` and returns from its coroutine: the connection stays open and from now on talks
to the handler, with no task and no queue of its own. Messages that arrived between accept and
``take`` reach the handler in order, after ``take`` has returned.

``scope["extensions"]["seaway.handoff"]["via"]`` is the application that the server calls.
Middleware that has nothing to do once a connection is handed off may put there what it calls
itself; by that an application sees whether it may take the connection over (`seaway.middleware`).

On an HTTP scope it is ``take(handler, framing, farewell)``, after ``http.response.start`` and
before any body: from now on the response's body is what is written to the sink. ``framing`` makes a
message into the body's bytes (the sink's own framing adds what HTTP needs around them), and
``farewell`` makes the last bytes from a close code and a reason. ``on_message`` is never called.

``scope["state"]["seaway.drain"]``, a list left there by the application's lifespan, holds functions
that the server calls when it begins to drain: what has not been handed off has to end by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

EXTENSION = "seaway.handoff"
DRAIN = "seaway.drain"

#: Turns one message of a dialect (UTF-8 bytes) into the bytes that a transport writes for it. It is
#: a plain function with no state, so all connections with the same framing share what it returns.
Framing = Callable[[bytes], bytes]

#: The last bytes of a streamed response, from a close code and a reason.
Farewell = Callable[[int, str], bytes]


class Sink(Protocol):
    """Where a connection's bytes go. Calls belong on the server's event loop and never block.

    A sink that can be written to together with others of its kind also has the attribute ``lane``,
    a `Lane` or None, which never changes; a sink may do without it.
    """

    framing: Framing
    """How messages are framed for this connection: the key by which encodings are shared."""

    writable: bool
    """False from the moment when the write buffer passes its high-water mark until it is empty,
    and for good once the connection closes. `write` still accepts bytes while it is False; a
    writer that ignores it fills the server's memory."""

    def write(self, frame: bytes) -> None:
        """Write bytes that `framing` made; silently nothing once the connection is closed
        (the handler learns of that by ``on_close``)."""

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake; ``on_close`` follows, once. Idempotent."""

    def pause_reading(self) -> None:
        """Stop reading from the peer: its messages wait in the kernel, then at the peer."""

    def resume_reading(self) -> None:
        """Undo `pause_reading`."""


class Lane(Protocol):
    """What sinks share that can be written to together: ``sink.lane``, the same object for all."""

    def batch(self, sinks: Sequence[Any]) -> Batch:
        """Make ready to write to these sinks together, once or many times.

        :param sinks: sinks that have this lane, each one once; not changed as long as the batch
            is in use.
        """


class Batch(Protocol):
    """Sinks of one lane that are written to together."""

    def write(self, frame: bytes) -> Sequence[int]:
        """Write one frame to those of the sinks that take it at once.

        For each of these it is as good as its own `Sink.write`: same order with whatever else is
        written, and what the kernel does not take of a frame follows when there is room.

        :returns: the indexes of those that got nothing (that have bytes waiting, are closing or
            broken; or all of them, when a batch would not pay). The caller treats them one by one.
        """


class Handler(Protocol):
    """What a connection tells the application that took it. Called on the server's event loop.

    An exception that escapes a handler closes its connection with 1011 and is logged. A handler may
    have an attribute ``max_message_bytes``: from then on larger messages are refused with 1009,
    where the server's own limit is not lower already.

    A handler of a WebSocket may also have ``on_drain(reason) -> bool``, called when the server is
    about to close the connection because it goes. True says that the handler closes it itself, with
    `CloseCode.SERVICE_RESTART` and this reason, soon; the server's ``drain_timeout`` bounds it.
    """

    def on_message(self, data: str | bytes) -> None:
        """One whole message: str for text, bytes for binary."""

    def on_writable(self) -> None:
        """``sink.writable`` has become True again: the write buffer is empty."""

    def on_close(self, code: int, reason: str) -> None:
        """The connection is gone; the last call, exactly once. ``code`` is the peer's, 1005 when
        its close frame had none, 1006 when there was no close frame."""
