"""HTTP/2 for a server: bytes in, events out; events in, bytes out (RFC 9113, RFC 8441).

What lives here: `Http2Connection`, the one object that talks to libnghttp2 by way of ngh2. If that
binding went away, this is the file that would change.
What must not: sockets, time-outs, the rules for fields (`http2_rules`), the watch over the peer's
frames (`http2_frames`).

Flow control shows on both sides. Towards the peer: `send` queues, `queued` says how much of a
stream is not on its way yet, and `WindowOpened` tells that the peer takes more. From the peer: its
windows open again only by `acknowledge`, that is, when the application has taken what came.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

import msgspec
import ngh2

from seaway.exceptions import ProtocolError

from .events import (
    DataReceived,
    Event,
    Headers,
    InterimResponse,
    RequestEnded,
    RequestReceived,
    ResponseData,
    ResponseStarted,
    ResponseTrailers,
    StreamEnded,
    StreamReset,
    ViolationReceived,
    WindowOpened,
)
from .http1_request import HttpLimits
from .http2_answer import COMPLETE, Answer, promised_fields
from .http2_frames import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    INTERNAL_ERROR,
    LARGE_SIZE,
    MAX_WINDOW,
    NO_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    FrameWatch,
    goaway,
    wrong_preface,
)
from .http2_rules import MALFORMED, read_request, trailer_fields

__all__ = [
    "CANCEL",
    "INTERNAL_ERROR",
    "NO_ERROR",
    "PREFACE",
    "PROTOCOL_ERROR",
    "Http2Connection",
    "Http2Limits",
    "wrong_preface",
]

#: A header list over the limit is answered with 431; one so many times over it ends the connection,
#: because it is a bomb: a byte on the wire can stand for 4 KB (RFC 7541 section 7.3).
_BOMB_FACTOR = 4
#: CONTINUATION frames of one header block; five of 16 KB hold 64 KB and are what a client needs.
_MAX_CONTINUATIONS = 8

#: Beyond it libnghttp2 would reset the stream and the application not learn why; HTTP/1.1 has no
#: limit at all.
_MAX_RESPONSE_HEAD = 16 * 1024 * 1024


class Http2Limits(msgspec.Struct, frozen=True):
    """How much a peer may have under way. Sizes are bytes.

    :param http: a request's head, as in HTTP/1.1; over it: 431 or 414.
    :param streams: requests at once (SETTINGS_MAX_CONCURRENT_STREAMS); more are refused.
    :param stream_window: what may be sent of a request before the application has taken any of it.
    :param connection_window: the same for all requests together.
    """

    http: HttpLimits = HttpLimits()
    streams: int = 128
    stream_window: int = 65_535
    connection_window: int = 1024 * 1024


class Http2Connection:
    """One connection's HTTP/2, from the client's preface to GOAWAY.

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
        "_promises",
        "_push_limit",
        "_tail",
        "_watch",
        "closed",
        "greeted",
        "limits",
        "streams",
    )

    def __init__(
        self, limits: Http2Limits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits = limits or Http2Limits()
        self._watch = FrameWatch(clock)
        self._engine = ngh2.Connection(ngh2.Role.SERVER, _configuration(limits))
        self._engine.initiate_connection(_settings(limits))
        self._engine.set_local_window_size(limits.connection_window)
        self._tail = b""
        self._output = b""
        self._events: list[Event] = []
        #: Every stream that is not closed on both sides.
        self.streams: dict[int, Answer] = {}
        #: Resets that wait for the end of a DATA frame, with their codes.
        self._postponed: dict[int, int] = {}
        self._promises = 0
        self._push_limit = 100
        self._going = False
        #: Whether the peer's SETTINGS have come.
        self.greeted = False
        #: Whether all is over: what `data_to_send` still returns is to be written, then close.
        self.closed = False

    # What the peer did ---------------------------------------------------------------------------

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

    def _take_events(self) -> None:
        for event in self._engine.events():
            handle = _ON_EVENT.get(type(event))
            if handle is not None:
                handle(self, event)

    def _on_request(self, event: ngh2.RequestReceived) -> None:
        stream, ended = event.stream_id, event.end_stream
        try:
            request = read_request(stream, event.headers, ended, self.limits.http)
        except ProtocolError as error:
            self._refuse(stream, error.status, ended)
            return
        self.streams[stream] = Answer(request)
        self._events.append(request)

    def _refuse(self, stream: int, status: int, ended: bool) -> None:
        """Answer a request that never becomes an event."""
        if status == MALFORMED:
            self._reset(stream, PROTOCOL_ERROR)
            return
        fields = [(b":status", b"%d" % status), (b"content-length", b"0")]
        self._engine.send_response(stream, fields, end_stream=True)
        if not ended:
            # Behind the response, which is whole: section 8.1.
            self._pump_raw()
            if not self.closed:
                self._reset(stream, NO_ERROR)

    def _on_data(self, event: ngh2.DataReceived) -> None:
        stream, data = event.stream_id, event.data
        answer = self.streams.get(stream)
        if answer is None:
            # Of a refused request: the connection's window is for the others.
            self._consume(stream, len(data))
            return
        if data:
            answer.unread += len(data)
            self._events.append(DataReceived(stream, data))
        if event.end_stream:
            answer.request_ended = True
            self._events.append(RequestEnded(stream))

    def _on_trailers(self, event: ngh2.TrailersReceived) -> None:
        answer = self.streams.get(event.stream_id)
        if answer is not None:
            answer.request_ended = True
            self._events.append(RequestEnded(event.stream_id, list(event.headers)))

    def _on_closed(self, event: ngh2.StreamClosed) -> None:
        stream = event.stream_id
        if not stream & 1:
            self._promises -= 1
        answer = self.streams.pop(stream, None)
        if answer is None:
            return
        self._consume(stream, answer.unread)
        whole = answer.state == COMPLETE and answer.request_ended and not event.error_code
        self._events.append(StreamEnded(stream) if whole else StreamReset(stream))

    def _on_window(self, event: ngh2.WindowUpdated) -> None:
        self._events.append(WindowOpened(event.stream_id))

    def _on_settings(self, event: ngh2.SettingsReceived) -> None:
        settings = event.settings
        self.greeted = True
        if ngh2.Setting.INITIAL_WINDOW_SIZE in settings:
            self._events.append(WindowOpened(0))
        if not settings.get(ngh2.Setting.ENABLE_PUSH, 1):
            self._push_limit = 0
        elif ngh2.Setting.MAX_CONCURRENT_STREAMS in settings:
            self._push_limit = min(self._push_limit, settings[ngh2.Setting.MAX_CONCURRENT_STREAMS])

    def _on_finished(self, event: ngh2.ConnectionClosed) -> None:
        self.closed = True
        if event.error_code:
            reason = event.debug_data.decode("ascii", "replace") or f"error {event.error_code}"
            self._events.append(ViolationReceived(400, reason))

    # What we answer ------------------------------------------------------------------------------

    def send(
        self, event: InterimResponse | ResponseStarted | ResponseData | ResponseTrailers
    ) -> int:
        """Queue one part of a response; the number of bytes of body in it.

        Nothing happens if the stream is closed: an event has said so, or will.

        :raises ResponseError: the application's fault; nothing of this event is sent.
        """
        answer = self.streams.get(event.stream)
        if answer is None or self.closed:
            return 0
        return _ON_SEND[type(event)](self, answer, event)

    def answer(self, stream: int, status: int, headers: Headers, data: bytes, ended: bool) -> int:
        """`send` for a final response's head and the first part of its body together: a whole
        response without a body is one frame.

        :raises ResponseError: the application's fault; nothing is sent, and another response can
            take this one's place.
        """
        answer = self.streams.get(stream)
        if answer is None or self.closed:
            return 0
        fields, data = answer.open(status, headers, data, ended)
        empty = ended and not data
        try:
            self._engine.send_response(stream, fields, end_stream=empty)
            if not empty:
                self._engine.send_data(stream, data, end_stream=ended)
        except ngh2.StreamProtocolError:
            return 0
        return len(data)

    def write(self, stream: int, data: bytes) -> None:
        """`send` for a stream that carries another protocol, whose bytes are frames already."""
        if not self.closed:
            try:
                self._engine.send_data(stream, data)
            except ngh2.StreamProtocolError:
                return  # closed: an event says so

    def _send_interim(self, answer: Answer, event: InterimResponse) -> int:
        fields = answer.interim(event)
        self._try(self._engine.send_informational_response, event.stream, fields)
        return 0

    def _send_head(self, answer: Answer, event: ResponseStarted) -> int:
        fields = answer.start(event.status, event.headers)
        self._try(self._engine.send_response, event.stream, fields)
        return 0

    def _send_data(self, answer: Answer, event: ResponseData) -> int:
        data = answer.data(event.data, event.ended)
        try:
            self._engine.send_data(event.stream, data, end_stream=event.ended)
        except ngh2.StreamProtocolError:
            return 0
        return len(data)

    def _send_trailers(self, answer: Answer, event: ResponseTrailers) -> int:
        fields = trailer_fields(event.headers)
        answer.end()
        if fields:
            self._try(self._engine.send_trailers, event.stream, fields)
        else:
            self._try(self._engine.end_stream, event.stream)
        return 0

    def _try(self, call: Callable[..., None], *arguments: object) -> None:
        """Call the engine about a stream that the peer may just have closed."""
        try:
            call(*arguments)
        except ngh2.StreamProtocolError:
            return  # the event that says so is on its way

    @property
    def may_push(self) -> bool:
        """Whether the client allows promises now."""
        return not self.closed and self._promises < self._push_limit

    def push(
        self, parent: int, scheme: str, authority: bytes, path: bytes, headers: Headers
    ) -> RequestReceived | None:
        """Promise a response that was not asked for (section 8.4); the request it belongs to.

        None where the client does not allow it. `data_to_send` belongs before the response.
        """
        if not self.may_push or not parent & 1:
            return None
        if parent not in self.streams:
            return None
        fields = promised_fields("GET", scheme.encode(), authority, path, headers)
        try:
            stream = self._engine.send_push_promise(parent, fields)
        except ngh2.NGH2Error:
            return None
        self._promises += 1
        request = read_request(stream, fields, True, self.limits.http)
        self.streams[stream] = Answer(request)
        return request

    def reset(self, stream: int, code: int) -> None:
        """Give a stream up (section 6.4)."""
        if not self.closed and stream in self.streams:
            self._reset(stream, code)

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

    # Flow control --------------------------------------------------------------------------------

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

    def acknowledge(self, stream: int, size: int) -> None:
        """The application has taken ``size`` bytes of a request: the peer may send as many more."""
        answer = self.streams.get(stream)
        if answer is not None:
            answer.unread -= size
            self._consume(stream, size)

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


def _configuration(limits: Http2Limits) -> ngh2.Configuration:
    return ngh2.Configuration(
        auto_window_update=False,
        max_continuations=_MAX_CONTINUATIONS,
        max_send_header_block_length=_MAX_RESPONSE_HEAD,
        max_inbound_header_list_size=_BOMB_FACTOR * limits.http.header_bytes,
        max_inbound_header_count=_BOMB_FACTOR * limits.http.header_count,
    )


def _settings(limits: Http2Limits) -> dict[ngh2.Setting, int]:
    return {
        ngh2.Setting.MAX_CONCURRENT_STREAMS: limits.streams,
        ngh2.Setting.INITIAL_WINDOW_SIZE: limits.stream_window,
        ngh2.Setting.MAX_HEADER_LIST_SIZE: limits.http.header_bytes,
        ngh2.Setting.ENABLE_CONNECT_PROTOCOL: 1,
        ngh2.Setting.NO_RFC7540_PRIORITIES: 1,
    }


_ON_EVENT = cast(
    "dict[type[ngh2.Event], Callable[[Http2Connection, ngh2.Event], None]]",
    {
        ngh2.RequestReceived: Http2Connection._on_request,
        ngh2.DataReceived: Http2Connection._on_data,
        ngh2.TrailersReceived: Http2Connection._on_trailers,
        ngh2.StreamClosed: Http2Connection._on_closed,
        ngh2.WindowUpdated: Http2Connection._on_window,
        ngh2.SettingsReceived: Http2Connection._on_settings,
        ngh2.ConnectionClosed: Http2Connection._on_finished,
    },
)
_ON_SEND = cast(
    "dict[type[Event], Callable[[Http2Connection, Answer, Event], int]]",
    {
        InterimResponse: Http2Connection._send_interim,
        ResponseStarted: Http2Connection._send_head,
        ResponseData: Http2Connection._send_data,
        ResponseTrailers: Http2Connection._send_trailers,
    },
)
