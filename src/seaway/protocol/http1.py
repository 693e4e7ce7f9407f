"""HTTP/1.1 for a server: bytes in, events out; events in, bytes out (RFC 9110, RFC 9112).

What lives here: `Http1Connection`, which keeps requests and responses in step: pipelining, the
end of reading, violations, and the change to another protocol.
What must not: sockets, time-outs, the grammar of requests (`http1_request`), the framing of
responses (`http1_response`).
"""

from __future__ import annotations

import httptools

from seaway.exceptions import ProtocolError, ResponseError

from .events import (
    DataReceived,
    Event,
    Headers,
    InterimResponse,
    ResponseData,
    ResponseStarted,
    ResponseTrailers,
    StreamReset,
    ViolationReceived,
)
from .http1_borders import (
    CR,
    FIRST_LETTER,
    HEAD_END,
    OVERLAP,
    empty_lines,
    status_of_refusal,
    status_of_unknown_method,
)
from .http1_request import (
    BODY,
    CLOSED,
    HEAD,
    HELD,
    IDLE,
    LAST,
    PRIMING,
    UPGRADED,
    HttpLimits,
    Phase,
    RequestReader,
)
from .http1_response import SWITCHING_PROTOCOLS, Coding, Exchange

__all__ = ["Http1Connection", "HttpLimits"]

_HEAD_END_SIZE = len(HEAD_END)


class Http1Connection:
    """One connection's HTTP/1.1, from its first byte to its last or to an upgrade.

    Requests are numbered from 1 (`RequestReceived.stream`) and answered in that order: `send`
    always concerns the oldest request whose response has not ended, and says so if the event names
    another. A request without a body has ``ended=True`` and no `RequestEnded` follows; the body of
    one that was answered early goes on arriving.

    `keep_alive` says whether the connection may be reused after the current response; once it is
    False and that response has ended, nothing more is read and the server closes.
    """

    __slots__ = ("_held", "_limits", "_reader", "_silent", "keep_alive")

    def __init__(self, limits: HttpLimits | None = None) -> None:
        self._limits = limits or HttpLimits()
        self._reader = RequestReader(self._limits)
        self._held = b""
        self._silent = 0
        self.keep_alive = True

    @property
    def head_pending(self) -> bool:
        """Whether a request's head has begun to arrive and is not complete."""
        return self._reader.phase is HEAD

    @property
    def idle(self) -> bool:
        """Whether nothing is under way: no answer is owed and no part of a request has arrived."""
        return (
            self._reader.phase is IDLE
            and not self._reader.exchanges
            and (not self._held or self._held == CR)
        )

    @property
    def answers_owed(self) -> int:
        """How many responses have not ended, the answer to a violation included."""
        return len(self._reader.exchanges)

    @property
    def answering(self) -> int:
        """The request that `send` concerns, or 0: whom to answer when a violation is received."""
        exchanges = self._reader.exchanges
        return exchanges[0].stream if exchanges else 0

    @property
    def resumable(self) -> bool:
        """Whether requests wait behind an upgrade request that was answered as a plain one:
        ``receive(b"")`` returns their events."""
        return self._held not in {b"", CR} and self._reader.phase is IDLE

    def receive(self, data: bytes) -> list[Event]:
        """What the peer did with ``data``. Body parts are passed on as they come.

        Behind an upgrade request everything is held back until that request is answered; after
        101 it belongs to the new protocol (see `upgrade`), after anything else see `resumable`.
        """
        reader = self._reader
        if self._held:
            data = self._held + data
            self._held = b""
        events: list[Event] = []
        reader.events = events
        size = reader.size
        self._feed(data)
        # llhttp buffers a field, a chunk extension or a trailer until its end, and says nothing
        # meanwhile: bytes that lead to no callback are what a peer could make it hoard.
        if events or reader.size != size:
            self._silent = 0
        else:
            self._silent += len(data)
            if self._silent > self._limits.header_bytes and (
                reader.phase is IDLE or reader.phase is HEAD or reader.phase is BODY
            ):
                self._violate(431, "the request's header is too large")
        return events

    def receive_eof(self) -> list[Event]:
        """The peer sends no more. Responses that are owed can still be sent; then close."""
        reader = self._reader
        events: list[Event] = []
        reader.events = events
        if reader.phase is HEAD:
            self._violate(400, "the connection ended inside a request's head")
        elif reader.phase is BODY:
            events.append(StreamReset(reader.stream))
        if reader.phase is not UPGRADED:
            self._take_no_more()
        return events

    def send(
        self, event: InterimResponse | ResponseStarted | ResponseData | ResponseTrailers
    ) -> bytes:
        """The bytes of one part of the oldest response; empty where HTTP has none.

        :raises ResponseError: the application's fault; nothing of this event may be sent. If the
            response has not started, another (a 500) can take its place, else only closing is left.
        """
        exchange = self._due(event.stream)
        if isinstance(event, ResponseData):
            try:
                data = exchange.data(event)
            finally:
                self.keep_alive = not exchange.closes
            if event.ended:
                self._end_exchange(exchange)
            return data
        if isinstance(event, ResponseStarted):
            head = exchange.start(event)
            self._start(exchange, event.status)
            return head
        if isinstance(event, InterimResponse):
            return exchange.interim(event)
        data = exchange.trailers(event)
        self._end_exchange(exchange)
        return data

    def answer(
        self, stream: int, status: int, headers: Headers, data: bytes, ended: bool
    ) -> tuple[bytes, bytes]:
        """`send` for a final response's head and the first part of its body together.

        :returns: the bytes of the head and those of the part.
        :raises ResponseError: the application's fault; nothing may be sent, and another response
            can take this one's place.
        """
        exchange = self._due(stream)
        if status == SWITCHING_PROTOCOLS:
            raise ResponseError("the application sent 101 as a response with a body")
        parts = exchange.open(status, headers, data, ended)
        self._start(exchange, status)
        if ended:
            self._end_exchange(exchange)
        return parts

    def _due(self, stream: int) -> Exchange:
        """The exchange that a response to this request belongs to."""
        exchanges = self._reader.exchanges
        if not exchanges:
            raise ResponseError("the application sent a response that nobody asked for")
        exchange = exchanges[0]
        if stream != exchange.stream:
            raise ResponseError(
                f"a response to request {stream} before request {exchange.stream} is answered"
            )
        return exchange

    @property
    def body_left(self) -> int:
        """Bytes that the current response's body still has to have; -1 where none are counted."""
        exchanges = self._reader.exchanges
        return exchanges[0].left if exchanges else -1

    def skip(self, size: int) -> None:
        """The server has sent ``size`` bytes of the body itself, no more than `body_left`."""
        self._reader.exchanges[0].skip(size)

    def stream(self, event: ResponseStarted) -> tuple[bytes, Coding]:
        """The head of a response whose body is written without `send`, and how to write it: nothing
        else is sent or received on this connection any more.

        :raises ResponseError: as `answer` does, and for a response whose length is fixed.
        """
        return self._due(event.stream).start_coded(event)

    def upgrade(self) -> bytes:
        """Stop speaking HTTP, after 101 was sent: returns what the peer sent behind its request.

        From now on `receive` passes bytes on as `DataReceived`.
        """
        reader = self._reader
        if reader.phase is not UPGRADED:
            raise ResponseError("an upgrade that was not answered with 101")
        held, self._held = self._held, b""
        return held

    def _feed(self, data: bytes) -> None:
        reader = self._reader
        while data:
            phase = reader.phase
            if phase is IDLE:
                # The common case is a whole head and nothing else.
                end = data.find(HEAD_END) + _HEAD_END_SIZE if data[0] >= FIRST_LETTER else 0
                piece = data if end == len(data) else self._first_piece(data, end)
                reader.line = piece
            elif self._keeps_from_parser(phase, data):
                return
            else:
                piece = reader.next_piece(data)
            try:
                reader.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as pause:
                data = data[pause.args[0] :]
                if reader.phase is PRIMING:
                    reader.prime_for_body()
            except httptools.HttpParserError as error:
                # RFC 9112 section 9.6: what follows a request that closes is not for us to judge.
                if reader.phase is not LAST:
                    self._refuse(error)
                return
            else:
                if piece is data or not piece:
                    return
                data = data[len(piece) :]

    def _keeps_from_parser(self, phase: Phase, data: bytes) -> bool:
        """Whether ``data`` is nothing for llhttp; then it is seen to here."""
        if phase is UPGRADED:
            self._reader.events.append(DataReceived(self._reader.stream, data))
        elif phase is HELD:
            self._hold(data)
        elif phase is not LAST and phase is not CLOSED:
            return False
        return True

    def _first_piece(self, data: bytes, end: int) -> bytes:
        """What to feed next where a request may start: its head, up to ``end``; the part of it that
        is there; or the empty lines before it. Nothing, if it is too early or too late to go on."""
        if end > _HEAD_END_SIZE:
            return data[:end]
        if end:
            self._reader.before = data[-OVERLAP:]
            return data
        try:
            size = empty_lines(data)
        except ProtocolError as error:
            self._violate(error.status, error.reason)
            return b""
        if size:
            return data[:size]
        if data == CR:
            self._held = CR
        else:
            self._violate(*status_of_unknown_method(data))
        return b""

    def _hold(self, data: bytes) -> None:
        self._held = data
        if len(data) > self._limits.header_bytes:
            self._held = b""
            self._violate(400, "too much was sent before the answer to an upgrade request")

    def _refuse(self, error: httptools.HttpParserError) -> None:
        fault = self._reader.fault
        if fault is not None:
            self._violate(fault.status, fault.reason)
        elif isinstance(error, httptools.HttpParserCallbackError):
            raise error  # our own fault, or an interrupt: not to be blamed on the peer
        else:
            self._violate(*status_of_refusal(str(error), self._reader.line))

    def _violate(self, status: int, reason: str) -> None:
        reader = self._reader
        if reader.phase in {IDLE, HEAD}:
            # The refused request is owed its answer too, in its turn.
            reader.stream += 1
            reader.exchanges.append(Exchange(reader.stream))
        reader.events.append(ViolationReceived(status, reason))
        self._take_no_more()

    def _take_no_more(self) -> None:
        """The response to the last request taken ends the connection."""
        exchanges = self._reader.exchanges
        self._reader.finish(CLOSED)
        self._held = b""
        if exchanges:
            exchanges[-1].closes = True
        if not exchanges or (len(exchanges) == 1 and exchanges[0].started):
            self.keep_alive = False

    def _start(self, exchange: Exchange, status: int) -> None:
        """The response's head is made."""
        reader = self._reader
        self.keep_alive = not exchange.closes
        if status == SWITCHING_PROTOCOLS:
            self.keep_alive = False
            reader.exchanges.clear()
            reader.finish(UPGRADED)
        elif reader.phase is HELD and exchange is reader.exchanges[-1]:
            reader.end_message()

    def _end_exchange(self, exchange: Exchange) -> None:
        reader = self._reader
        reader.exchanges.popleft()
        if exchange.closes:
            reader.exchanges.clear()
            reader.finish(CLOSED)
