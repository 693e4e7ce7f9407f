"""HTTP/2 for a server: bytes in, events out; events in, bytes out (RFC 9113, RFC 8441).

What lives here: `Http2Connection`: requests as they come from libnghttp2, responses as they go to
it, promises.
What must not: sockets, time-outs, the connection's own course (`http2_session`), the rules for
fields (`http2_rules`), the watch over the peer's frames (`http2_frames`).

Flow control shows on both sides. Towards the peer: `send` queues, `queued` says how much of a
stream is not on its way yet, and `WindowOpened` tells that the peer takes more. From the peer: its
windows open again only by `acknowledge`, that is, when the application has taken what came.

If ngh2 went away, this file, `http2_session` and `http2_limits` would change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

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
from .http2_answer import COMPLETE, Answer, promised_fields
from .http2_frames import (
    CANCEL,
    INTERNAL_ERROR,
    NO_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    wrong_preface,
)
from .http2_limits import Http2Limits
from .http2_rules import MALFORMED, read_request, trailer_fields
from .http2_session import Http2Session

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


class Http2Connection(Http2Session):
    """A session's requests and responses.

    :param clock: seconds, for the allowances against floods.
    """

    __slots__ = ("_promises", "_push_limit", "greeted", "streams")

    def __init__(
        self, limits: Http2Limits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(limits or Http2Limits(), clock)
        #: Every stream that is not closed on both sides.
        self.streams: dict[int, Answer] = {}
        self._promises = 0
        self._push_limit = 100
        #: Whether the peer's SETTINGS have come.
        self.greeted = False

    # What the peer did ---------------------------------------------------------------------------

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

    def acknowledge(self, stream: int, size: int) -> None:
        """The application has taken ``size`` bytes of a request: the peer may send as many more."""
        answer = self.streams.get(stream)
        if answer is not None:
            answer.unread -= size
            self._consume(stream, size)

    def reset(self, stream: int, code: int) -> None:
        """Give a stream up (section 6.4)."""
        if not self.closed and stream in self.streams:
            self._reset(stream, code)

    # Promises ------------------------------------------------------------------------------------

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
