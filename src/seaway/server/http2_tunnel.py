"""A WebSocket's bytes inside an HTTP/2 stream (RFC 8441).

What lives here: `Tunnel`, an asyncio transport whose bytes travel in DATA frames, so that a
WebSocket over HTTP/2 is the same protocol object as one over HTTP/1.1.
What must not: WebSocket, requests and responses (`http2_strand`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from seaway.protocol.events import ResponseData
from seaway.protocol.http2 import CANCEL

if TYPE_CHECKING:
    from seaway.server.http2_strand import Strand


class Tunnel(asyncio.Transport):
    """A stream as a transport: END_STREAM stands for FIN, RST_STREAM for a reset (RFC 8441
    section 5)."""

    __slots__ = ("_closing", "_ended", "_held", "_lost", "_reading", "_strand", "protocol")

    def __init__(self, strand: Strand) -> None:
        super().__init__()
        self._strand = strand
        #: Who has the connection, once it is accepted.
        self.protocol: asyncio.Protocol | None = None
        self._reading = True
        #: Bytes that came before there was a protocol, or while it did not read.
        self._held: list[bytes] = []
        self._ended = False
        self._closing = False
        self._lost = False

    # From the strand -----------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        if self._lost:
            self._strand.took(len(data))
        elif self.protocol is None or self._held or not self._reading:
            # No more than the stream's window: it opens as the protocol takes them.
            self._held.append(data)
        else:
            self._strand.took(len(data))
            self.protocol.data_received(data)

    def end(self) -> None:
        """The peer sends no more; a WebSocket has no use for a half-open connection."""
        self._ended = True
        if self.protocol is not None:
            self.close()

    def early(self) -> bytes:
        """What came before there was a protocol."""
        data = b"".join(self._held)
        self._held.clear()
        self._strand.took(len(data))
        if self._ended:
            self._strand.context.loop.call_soon(self.close)
        return data

    def lose(self) -> None:
        """The stream is over: tell the protocol, once."""
        self._closing = True
        if not self._lost:
            self._lost = True
            self._strand.touched = self._strand.context.now
            self._strand.context.loop.call_soon(self._tell)

    def _tell(self) -> None:
        if self.protocol is not None:
            self.protocol.connection_lost(None)

    # From the protocol ---------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._closing:
            self._strand.connection.http.write(self._strand.number, bytes(data))
            self._strand.flush()

    def get_write_buffer_size(self) -> int:
        return self._strand.connection.http.queued(self._strand.number)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        strand = self._strand
        if not self._closing:
            self._closing = True
            strand.send(ResponseData(strand.number, b"", ended=True))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self.write_eof()
        self.lose()

    def abort(self) -> None:
        strand = self._strand
        if not strand.gone:
            strand.connection.http.reset(strand.number, CANCEL)
            strand.connection.flush_soon()
        self.lose()

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            if self._held:
                self._strand.context.loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        while self._held and self._reading:
            data = self._held.pop(0)
            self._strand.took(len(data))
            if self.protocol is not None and not self._lost:
                self.protocol.data_received(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._strand.connection.transport.get_extra_info(name, default)
