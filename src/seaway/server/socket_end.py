"""The server's end of one accepted socket, whatever HTTP version is spoken over it.

What lives here: admission, flow control both ways, and closing so that the peer can read our last
words.
What must not: bytes of a protocol, requests.
"""

from __future__ import annotations

import asyncio
import select
import sys
from typing import cast

from seaway.server.context import NEVER, Context
from seaway.server.flow import Gate
from seaway.server.replies import OVERLOADED, TOO_MANY
from seaway.server.scope import addresses
from seaway.server.scope_types import Peer
from seaway.server.tls import tls_extension

if sys.platform == "win32":
    ioctl = None
else:
    from fcntl import ioctl
    from termios import TIOCOUTQ

#: Seconds that a connection is kept half open so that the peer can read our last words: a close
#: with unread input makes the kernel send a reset, which may overtake them (RFC 9112 section 9.6).
_LINGER = 2.0


def _unacknowledged(transport: asyncio.Transport) -> int:
    """Bytes in the kernel's send buffer; 0 where it does not tell."""
    if ioctl is None:
        return 0
    try:
        answer = ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int.from_bytes(answer, sys.byteorder)


class SocketEnd(asyncio.Protocol):
    """A connection until it closes or is handed to another protocol."""

    __slots__ = (
        "_unsent",
        "client",
        "closing",
        "context",
        "deadline",
        "encrypted",
        "extensions",
        "gate",
        "reading",
        "secure",
        "server",
        "transport",
        "writable",
    )

    def __init__(self, context: Context) -> None:
        self.context = context
        self.deadline = NEVER
        self.transport: asyncio.Transport
        self.client: Peer = None
        self.server: Peer = None
        #: Whether this connection is TLS, and whether the client's is, to us or to a proxy.
        self.encrypted = False
        self.secure = False
        #: The ASGI extensions that every request on this connection has; not to be changed.
        self.extensions = context.extensions
        #: True from the moment when nothing more is to be read or answered.
        self.closing = False
        self.reading = True
        #: False while the transport holds more unsent bytes than ``write_buffer``.
        self.writable = True
        #: Opens when `writable` turns True, and when the connection is lost.
        self.gate = Gate()
        #: Unsent bytes when the peer was last seen to take some.
        self._unsent = 0

    def set_deadline(self) -> None:
        """Set `deadline` by what is awaited from the peer now."""
        raise NotImplementedError

    # From the transport --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        context = self.context
        self.transport = cast("asyncio.Transport", transport)
        if len(context.open) >= context.config.max_connections:
            context.refused += 1
            self._refuse(OVERLOADED)
            return
        self.client, self.server = addresses(transport)
        ssl_object = transport.get_extra_info("ssl_object")
        if ssl_object is not None:
            self.secure = self.encrypted = True
            tls = tls_extension(ssl_object, context.certificate)
            self.extensions = {**context.extensions, "tls": tls}
        if context.proxied:
            self._heed_proxy(context)
        if context.peers is not None and not context.peers.admit(self, self.client, context.now):
            self._refuse(TOO_MANY)
            return
        self.transport.set_write_buffer_limits(context.config.write_buffer, 0)
        context.open.add(self)
        self.deadline = context.now + context.config.header_timeout

    def _heed_proxy(self, context: Context) -> None:
        """A PROXY header came first: it says who the peer's peer is."""
        fd = self.transport.get_extra_info("socket").fileno()
        header = context.proxied.pop(fd, None)
        if header is not None and header.source is not None:
            self.client, self.server = header.source, header.destination
            self.secure = self.encrypted or header.secure

    def _refuse(self, answer: bytes) -> None:
        self.closing = True
        self.transport.write(answer)
        self.transport.close()

    def pause_writing(self) -> None:
        self.writable = False
        self._await_flush()

    def resume_writing(self) -> None:
        self.writable = True
        if not self.closing:
            self.set_deadline()
        elif self.encrypted:
            self._end_tls()
        self.gate.open()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closing = True
        self.context.left(self)
        self.gate.open()

    # For the protocol ----------------------------------------------------------------------------

    def read(self, on: bool) -> None:
        """Read from the peer, or leave what it sends in the kernel."""
        if on is self.reading or self.closing:
            return
        self.reading = on
        if on:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    @property
    def unread(self) -> bool:
        """Whether the kernel holds something for us that the loop has not read yet."""
        sock = self.transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return False
        if not hasattr(select, "poll"):
            return bool(select.select([sock.fileno()], [], [], 0)[0])
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def close(self, *, linger: bool = True) -> None:
        """Close once everything is sent; with ``linger`` the peer gets time to read it."""
        if self.closing:
            return
        # What the peer still sends is read, so that its kernel goes on to listen, and dropped.
        self.read(True)
        self.closing = True
        transport = self.transport
        self._await_flush()
        if linger and not self.encrypted and transport.can_write_eof():
            if not self._unsent:
                self.deadline = self.context.now + _LINGER
            transport.write_eof()
        elif not self.encrypted:
            transport.close()
        elif self.writable:
            self._end_tls()

    def _end_tls(self) -> None:
        """Say that this is the end, behind what is unsent. The loop then waits up to 30 seconds for
        the peer to say so, too, which an idle one does not."""
        if not self._pending() and not _unacknowledged(self.transport):
            self.deadline = self.context.now + _LINGER
        self.transport.close()

    def _await_flush(self) -> None:
        """From now on the peer has ``idle_timeout`` seconds to take some of what is unsent."""
        self._unsent = self._pending()
        self.deadline = self.context.now + self.context.config.idle_timeout

    def _pending(self) -> int:
        """Bytes that the peer has not taken. Those in the kernel count while more are to follow: it
        calls a socket writable only when a third of its buffer, often megabytes, is free."""
        size = self.transport.get_write_buffer_size()
        return size if self.closing else size + _unacknowledged(self.transport)

    def abort(self) -> None:
        """Close at once; unsent bytes are lost."""
        self.closing = True
        self.transport.abort()

    def expire(self) -> None:
        """The deadline has passed: the peer has taken some of what is unsent, or is dropped.

        What else a subclass awaits from the peer is its own affair.
        """
        if 0 < self._pending() < self._unsent:
            self._await_flush()
        else:
            self.abort()

    def drain(self) -> None:
        """The server is going. When to close is the subclass's affair."""
        raise NotImplementedError
