"""The response's half of an HTTP stream: ASGI's send (ASGI HTTP, version 2.5).

What lives here: the order of a response's parts, its pace, and the extensions of ASGI that send.
What must not: bytes of a protocol version, the application's life (`http_stream`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, BinaryIO

from seaway.protocol.events import Headers, InterimResponse, ResponseData, ResponseTrailers
from seaway.protocol.headers import token_list, values_of
from seaway.server.access import path_of
from seaway.server.asgi_types import ClientDisconnected, Message
from seaway.server.file_body import open_file, read_file
from seaway.server.logs import log_event, server_log
from seaway.server.request_half import COMPLETE, HELD, LOST, STARTED, TRAILING, WAITING, RequestHalf

_BODY_MAY_FOLLOW = (HELD, STARTED)
STANDS = (
    "before the response",
    "before the body",
    "in the body",
    "before the trailers",
    "after the response",
)
#: An application that is never made to wait would keep the loop to itself: after so many parts of
#: a body it yields once.
_PARTS_PER_TURN = 32
#: The field that ends a connection with this response.
CLOSE = (b"connection", b"close")
#: Fields by which an application frames a file itself.
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class ResponseHalf(RequestHalf):
    """One response. `http_stream.HttpStream` sets all of it: a request costs one call."""

    __slots__ = ("_headers", "_parts", "_sent", "_status", "_trailers")

    _headers: Headers
    _status: int
    #: Parts and bytes of the body that were sent.
    _parts: int
    _sent: int
    #: The trailers so far, or None if none were announced.
    _trailers: Headers | None

    def _complete(self) -> None:
        """All is sent: nothing more of the request is wanted."""
        raise NotImplementedError

    async def send(self, message: Message) -> None:
        """ASGI's send. Raises `ClientDisconnected` once the connection is gone."""
        if self._peer == LOST:
            raise ClientDisconnected
        kind, state = message["type"], self._state
        if kind == "http.response.start" and state == WAITING:
            self._hold_head(message["status"], message.get("headers", ()))
            if message.get("trailers"):
                self._trailers = []
        elif kind == "http.response.body" and state in _BODY_MAY_FOLLOW:
            data, more = message.get("body", b""), message.get("more_body", False)
            self._send_part(data if type(data) is bytes else bytes(data), more)
            if more:
                await self._pace()
        elif kind in _EXTENSIONS and state in _EXTENSIONS[kind][0]:
            await _EXTENSIONS[kind][1](self, message)
        elif state == COMPLETE and kind.startswith("http.response."):
            # ASGI: "any further messages on the channel will be ignored".
            self._note("message_ignored", kind=kind)
        else:
            raise RuntimeError(f"Unexpected ASGI message {kind!r} {STANDS[state]}.")

    def _hold_head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Kept until there is a body: ASGI demands it, and an error can still become a 500."""
        default = self._connection.context.default_headers
        self._headers = headers if type(headers) is list and not default else [*default, *headers]
        self._status = status
        self._state = HELD

    def _send_part(self, data: bytes, more: bool) -> None:
        connection = self._connection
        ended = not more and self._trailers is None
        if self._state == HELD:
            if connection.context.draining:
                self._headers = [*self._headers, CLOSE]
            self._sent = connection.answer(self.number, self._status, self._headers, data, ended)
            self._state = STARTED
        else:
            self._sent += connection.send(ResponseData(self.number, data, ended))
        if ended:
            self._complete()
        elif not more:
            self._state = TRAILING

    async def _pace(self) -> None:
        """Wait while the client does not keep up, and let others have their turn."""
        connection = self._connection
        self._parts += 1
        if connection.writable or self._state == COMPLETE:
            if self._parts % _PARTS_PER_TURN == 0:
                await asyncio.sleep(0)
            return
        while not connection.writable and self._peer != LOST:
            await connection.gate.wait(connection.context.loop)
        if self._peer == LOST:
            raise ClientDisconnected

    # Extensions ----------------------------------------------------------------------------------

    async def _send_hint(self, message: Message) -> None:
        """Extension ``http.response.early_hint`` (RFC 8297)."""
        if self._state == STARTED:
            return  # HTTP has no place for it any more; ASGI leaves it to the server
        links = [(b"link", link) for link in message["links"]]
        self._connection.send(InterimResponse(self.number, 103, links))

    async def _send_push(self, message: Message) -> None:
        """Extension ``http.response.push``."""
        headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        self._connection.push(message["path"].encode(), headers)

    async def _send_trailers(self, message: Message) -> None:
        """Extension ``http.response.trailers``."""
        assert self._trailers is not None  # noqa: S101 - for the type checker: the state says so
        self._trailers += message.get("headers", ())
        if not message.get("more_trailers", False):
            # RFC 9110 section 6.5.1: to clients that have said they take them.
            wanted = b"trailers" in token_list(values_of(self._request.headers, b"te"))
            trailers = self._trailers if wanted else []
            self._connection.send(ResponseTrailers(self.number, trailers))
            self._complete()

    async def _send_path(self, message: Message) -> None:
        """Extension ``http.response.pathsend``: a file in place of a body."""
        loop, connection = self._connection.context.loop, self._connection
        file, size = await loop.run_in_executor(None, open_file, Path(message["path"]))
        with file:
            if all(name.lower() not in _FRAMING for name, _ in self._headers):
                self._headers = [*self._headers, (b"content-length", b"%d" % size)]
            self._send_part(b"", more=True)
            if self._request.method == "HEAD":
                self._send_part(b"", more=False)
            elif connection.copies_files(size):
                self._sent += await connection.copy_file(file, size)
                self._send_part(b"", more=False)
            else:
                await self._send_parts(file, size)

    async def _send_parts(self, file: BinaryIO, size: int) -> None:
        async with contextlib.aclosing(read_file(file, size)) as parts:
            async for part, more in parts:
                if self._peer == LOST:
                    raise ClientDisconnected
                self._send_part(part, more)
                await self._pace()

    def _note(self, event: str, **fields: Any) -> None:
        method, path = self._request.method, path_of(self._request)
        log_event(server_log, logging.WARNING, event, method=method, path=path, **fields)


#: Messages of extensions, where the response must stand for them, and what is done.
_EXTENSIONS: dict[
    str, tuple[tuple[int, ...], Callable[[ResponseHalf, Message], Coroutine[Any, Any, None]]]
] = {
    "http.response.early_hint": ((WAITING, HELD, STARTED), ResponseHalf._send_hint),
    "http.response.push": ((WAITING, HELD, STARTED), ResponseHalf._send_push),
    "http.response.trailers": ((TRAILING,), ResponseHalf._send_trailers),
    "http.response.pathsend": ((HELD,), ResponseHalf._send_path),
}
