"""The course of an HTTP/2 connection: bytes in and out, windows, resets, GOAWAY (RFC 9113).

What lives here: `Http2Session`, which feeds libnghttp2 by way of ngh2 and takes its output.
What must not: requests and responses (`http2`), the watch over the peer's frames (`http2_frames`).
"""

from __future__ import annotations

from collections.abc import Callable

import ngh2

from .events import Event, ViolationReceived
from .http2_frames import (
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    INTERNAL_ERROR,
    LARGE_SIZE,
    MAX_WINDOW,
    NO_ERROR,
    PROTOCOL_ERROR,
    FrameWatch,
    goaway,
)
from .http2_limits import Http2Limits, configuration, settings


class Http2Session:
    """One connection, from the client's preface to GOAWAY, whatever is said on its streams.

    `receive` and `settle` return events; `data_to_send` returns bytes, and belongs behind whatever
    was received or sent. Nothing is written while the peer does not read: bytes wait in here, and
    `queued` grows.

    :param clock: seconds, for the allowances against floods.
    """

    __slots__ = (
        "_engine",
        "_events",
        "_going",
        "_output",
        "_postponed",
        "_tail",
        "_watch",
        "closed",
        "limits",
    )

    def __init__(self, limits: Http2Limits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._watch = FrameWatch(clock)
        self._engine = ngh2.Connection(ngh2.Role.SERVER, configuration(limits))
        self._engine.initiate_connection(settings(limits))
        self._engine.set_local_window_size(limits.connection_window)
        self._tail = b""
        self._output = b""
        self._events: list[Event] = []
        #: Resets that wait for the end of a DATA frame, with their codes.
        self._postponed: dict[int, int] = {}
        self._going = False
        #: Whether all is over: what `data_to_send` still returns is to be written, then close.
        self.closed = False

    def _take_events(self) -> None:
        """Turn what libnghttp2 has found into events."""
        raise NotImplementedError

    # Input ---------------------------------------------------------------------------------------

    @property
    def head_pending(self) -> bool:
        """Whether a header block has begun to arrive and is not complete."""
        return self._watch.head_pending

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun to arrive and is not complete: nothing else can arrive."""
        return self._watch.unfinished

    def receive(self, data: bytes) -> list[Event]:
        """What the peer did with ``data``. A `ViolationReceived` is always the last event; one that
        libnghttp2 has found comes by `settle`, behind the next `data_to_send`."""
        if self.closed:
            return []
        watch = self._watch
        if self._tail:
            data = self._tail + data
            self._tail = b""
        end = watch.scan(data)
        while watch.large is not None:
            self._feed(data[:end])
            data = self._widen(data[end:], *watch.large)
            watch.large = None
            end = watch.scan(data)
        if end != len(data):
            if watch.fault is None:
                self._tail = data[end:]
            data = data[:end]
        self._feed(data)
        return self.settle()

    def _widen(self, data: bytes, stream: int, increment: int) -> bytes:
        """The peer widens a stream's window, which may be too much: that ends the stream alone,
        where libnghttp2 would end the connection (section 6.9.1). What follows the frame."""
        try:
            window = self._engine.stream_remote_window_size(stream)
        except ngh2.NGH2Error:
            window = 0
        if window + increment > MAX_WINDOW:
            self._reset(stream, FLOW_CONTROL_ERROR)
        else:
            self._feed(data[:LARGE_SIZE])
        return data[LARGE_SIZE:]

    def _feed(self, data: bytes) -> None:
        """Hand whole pieces that were looked at to libnghttp2."""
        if self.closed:
            return
        watch = self._watch
        try:
            self._engine.receive_data(data)
        except ngh2.DenialOfServiceError as error:
            self._break(ENHANCE_YOUR_CALM, str(error))
        except ngh2.NGH2Error as error:
            self._break(PROTOCOL_ERROR, str(error))
        else:
            if self._postponed:
                self._reset_postponed()
            self._take_events()
            if watch.fault is not None:
                self._terminate(watch.fault.code, watch.fault.reason)

    def settle(self) -> list[Event]:
        """What has come of sending: streams that ended, or that could not go on, and the end."""
        events = self._events
        if events:
            self._events = []
        return events

    # Streams -------------------------------------------------------------------------------------

    def _try(self, call: Callable[..., None], *arguments: object) -> None:
        """Call the engine about a stream that the peer may just have closed."""
        try:
            call(*arguments)
        except ngh2.StreamProtocolError:
            return  # the event that says so is on its way

    def _reset(self, stream: int, code: int) -> None:
        if self._watch.data_of == stream:
            # ngh2 forgets the bytes of a DATA frame that a reset cuts in two, and the connection's
            # window would be short of them for good: the rest of the frame comes first.
            self._postponed[stream] = code
        else:
            self._try(self._engine.reset_stream, stream, code)

    def _reset_postponed(self) -> None:
        for stream in [each for each in self._postponed if each != self._watch.data_of]:
            self._try(self._engine.reset_stream, stream, self._postponed.pop(stream))

    def queued(self, stream: int) -> int:
        """Bytes of a response that are not on their way: the window is closed, or nobody has
        called `data_to_send`."""
        return self._engine.queued_body_size(stream)

    def window(self, stream: int) -> int:
        """Bytes that the peer takes now on a stream; 0 for one that is closed."""
        if self.closed:
            return 0
        try:
            of_stream = self._engine.stream_remote_window_size(stream)
        except ngh2.StreamUnavailableError:
            return 0
        return max(0, min(of_stream, self._engine.remote_window_size))

    def _consume(self, stream: int, size: int) -> None:
        if size and not self.closed:
            # By a stream that is closed, libnghttp2 opens the connection's window only.
            self._try(self._engine.acknowledge_received_data, size, stream)

    # Output and the end --------------------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """All bytes that the windows allow, in one piece; `settle` has what came of it."""
        if not self.closed:
            self._pump()
        output = self._output
        if output:
            self._output = b""
        return output

    def _pump(self) -> None:
        known = len(self._events)
        self._pump_raw()
        self._take_events()
        if self.closed:
            # That all streams are gone goes without saying.
            self._events[known:] = [
                event for event in self._events[known:] if type(event) is ViolationReceived
            ]

    def _pump_raw(self) -> None:
        try:
            output = self._engine.data_to_send()
        except ngh2.NGH2Error as error:
            self._break(INTERNAL_ERROR, str(error))
        else:
            self._output = self._output + output if self._output else output

    def announce_end(self) -> None:
        """Tell the peer to open no more streams; those on their way are served (section 6.8)."""
        if not self.closed and not self._going:
            self._going = True
            self._engine.send_shutdown_notice()

    def end(self) -> None:
        """Take no more streams, whatever was on its way; `closed` once the last has ended."""
        if not self.closed:
            self._engine.send_goaway(NO_ERROR)

    def terminate(self, code: int = NO_ERROR) -> None:
        """End all streams and the connection. GOAWAY is what is left to write."""
        if not self.closed:
            self._engine.terminate_connection(code)
            self._finish()

    def _terminate(self, code: int, reason: str) -> None:
        self._pump_raw()
        self._break(code, reason)

    def _finish(self) -> None:
        self._pump_raw()
        self.closed = True

    def _break(self, code: int, reason: str) -> None:
        """End the connection without libnghttp2, which may have given it up itself."""
        if self.closed:
            return
        self.closed = True
        self._output += goaway(self._watch.last, code, reason)
        self._events.append(ViolationReceived(_status(code), reason))


def _status(code: int) -> int:
    return 429 if code == ENHANCE_YOUR_CALM else 400
