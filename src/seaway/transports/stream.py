"""A sink over one streamed HTTP response, under any ASGI server.

What lives here: `seaway.server.handoff.Sink` kept with ASGI's send and receive, and how a response
becomes one: by the server's handoff where there is one.
What must not: what is written; anything that the server's own sink does differently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from seaway.exceptions import CloseCode
from seaway.protocol import sse
from seaway.server.handoff import EXTENSION, Farewell, Framing, Handler, Sink
from seaway.transports.backlog import Backlog
from seaway.transports.http import LIVE, Headers, Scope
from seaway.transports.relay import Receive, Send


class StreamSink(Backlog):
    """Keeps what is written until the server has taken what came before. One task: ASGI's price."""

    __slots__ = ("_farewell", "_wake")

    def __init__(self, handler: Handler, framing: Framing, farewell: Farewell) -> None:
        super().__init__(handler, framing)
        self._farewell = farewell
        self._wake = asyncio.Event()

    def _rouse(self) -> None:
        self._wake.set()

    def close(self, code: int, reason: str = "") -> None:
        if self.end is None:
            self._put(self._farewell(code, reason))
            self._finish(code, reason)

    def pause_reading(self) -> None:
        """Nothing is read from the client here."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    async def run(self, receive: Receive, send: Send) -> None:
        """Send until the client or we have ended it. The response has begun already."""
        writer = asyncio.ensure_future(self._write(send))
        reader = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.writable = False
            ends, self.end = self.end, self.end or (CloseCode.ABNORMAL, "")
            for task in (writer, reader):
                task.cancel()
            # A failed send is how some servers say that the client has gone.
            await asyncio.gather(writer, reader, return_exceptions=True)
            self._handler.on_close(*(ends or (int(CloseCode.ABNORMAL), "")))

    async def _write(self, send: Send) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                frames = b"".join(self._waiting)
                self._waiting.clear()
                await send(_body(frames, more=True))
                self._taken(len(frames))
            if self.end is not None:
                await send(_body(b"", more=False))
                return


async def open_stream(
    scope: Scope,
    receive: Receive,
    send: Send,
    handler: Handler,
    framing: Framing,
    farewell: Farewell,
    start: Callable[[Sink], None],
    headers: Headers,
) -> None:
    """Answer a request with an event stream that ``handler`` is told of.

    :param start: called with the sink once it can be written to.

    Returns when the stream has ended, or as soon as the server has taken it over.
    """
    fields: Headers = [(b"content-type", sse.CONTENT_TYPE), *LIVE, *headers]
    handoff = (scope.get("extensions") or {}).get(EXTENSION)
    try:
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        if handoff is not None:
            start(handoff["take"](handler, framing, farewell))
            return
        # Servers hold the head back until there is a body; the client should learn at once.
        await send(_body(sse.COMMENT, more=True))
    except BaseException:
        # The client has gone meanwhile: what the handler has begun has to end.
        handler.on_close(int(CloseCode.ABNORMAL), "")
        raise
    sink = StreamSink(handler, framing, farewell)
    start(sink)
    await sink.run(receive, send)


def _body(data: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        """The rest of a request that has no body."""
