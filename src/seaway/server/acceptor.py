"""The acceptor: from a listening socket to connections.

What lives here: accepting in small batches, leaving connections to workers that have fewer, the
PROXY header, and the TLS handshake's beginning.
What must not: what is done with a connection (`connection`), when to stop (`listener`).

A worker accepts by itself, not through ``loop.create_server``: that takes all that wait at once
(the first of several workers to wake gets a whole burst), and starts TLS before anybody can look
for a PROXY header. It costs 8 µs more for each connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

from seaway.exceptions import ProtocolError
from seaway.protocol.proxy import MOST, ProxyHeader, parse
from seaway.server.board import Board
from seaway.server.context import Context
from seaway.server.logs import log_event, server_log
from seaway.server.replies import NOT_TLS

#: Connections accepted in one turn of the loop, alone and beside other workers.
_BATCH, _SMALL_BATCH = 64, 4
#: Seconds that a worker with more connections than another leaves to it; and after how many in
#: which that one has taken none it stops waiting, for how long: the other one may hang.
_STEP_BACK, _PATIENCE, _IMPATIENCE = 0.003, 0.1, 1.0
#: Seconds without accepting when the process or the system has no descriptor or memory left.
_EXHAUSTED_SECONDS = 1.0
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
#: Seconds between two looks at a PROXY header that is incomplete: bytes that are only looked at
#: keep the socket readable, so waiting for it would not wait.
_LOOK_AGAIN = 0.02


class Acceptor:
    """Accepts on one bound, listening, non-blocking socket.

    :param factory: makes the protocol of a connection.
    """

    def __init__(
        self,
        context: Context,
        sock: socket.socket,
        factory: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
        board: Board | None,
    ) -> None:
        self._context = context
        self._loop = context.loop
        self._socket = sock
        self._fd = sock.fileno()
        self._factory = factory
        self._board = board
        self._batch = _SMALL_BATCH if board is not None else _BATCH
        self._options: dict[str, Any] = {}
        if tls is not None:
            timeout = context.config.header_timeout
            self._options = {"ssl": tls, "ssl_handshake_timeout": timeout}
        self._timer: asyncio.TimerHandle | None = None
        #: When this worker began to step back for one that had so few; 0: it does not.
        self._stepped_back = 0.0
        self._least = 0
        self._impatient_until = 0.0

    def start(self) -> None:
        """Begin to accept."""
        self._timer = None
        self._loop.add_reader(self._fd, self._accept)

    def close(self) -> None:
        """Accept no more; close the socket of this process."""
        if self._timer is not None:
            self._timer.cancel()
        else:
            self._loop.remove_reader(self._fd)
        self._socket.close()

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._fd)
        self._timer = self._loop.call_later(seconds, self.start)

    def _accept(self) -> None:
        if self._board is not None and self._leaves_it_to_others(self._board):
            self._pause(_STEP_BACK)
            return
        for _ in range(self._batch):
            try:
                sock, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                log_event(server_log, logging.ERROR, "accept_failed", reason=error.strerror)
                self._pause(_EXHAUSTED_SECONDS)
                return
            sock.setblocking(False)
            host = str(address[0]) if isinstance(address, tuple) else None
            self._begin(sock, host)

    def _leaves_it_to_others(self, board: Board) -> bool:
        context = self._context
        if not board.crowded(len(context.open) + len(context.opening)):
            self._stepped_back = 0.0
            return False
        now = self._loop.time()
        if now < self._impatient_until:
            return False
        if not self._stepped_back or board.least != self._least:
            self._stepped_back, self._least = now, board.least
        elif now - self._stepped_back > _PATIENCE:
            self._stepped_back = 0.0
            self._impatient_until = now + _IMPATIENCE
            return False
        return True

    # One connection ------------------------------------------------------------------------------

    def _begin(self, sock: socket.socket, host: str | None) -> None:
        context = self._context
        proxied = context.config.proxy_protocol and context.trusted.has(host)
        task = self._loop.create_task(self._introduced(sock) if proxied else self._open(sock))
        context.opening.add(task)
        task.add_done_callback(context.opened)

    async def _introduced(self, sock: socket.socket) -> None:
        """Read the header that a trusted proxy owes, and nothing behind it."""
        try:
            async with asyncio.timeout(self._context.config.header_timeout):
                header = await self._header(sock)
        except (ProtocolError, OSError, EOFError) as error:
            # TimeoutError is an OSError. No answer: who speaks the protocol makes no mistakes,
            # and who does not is owed none (section 2 of the specification).
            sock.close()
            log_event(server_log, logging.WARNING, "proxy_header_missing", reason=str(error))
            return
        except BaseException:
            sock.close()
            raise
        await self._open(sock, header)

    async def _header(self, sock: socket.socket) -> ProxyHeader:
        while True:
            try:
                data = sock.recv(MOST, socket.MSG_PEEK)
            except BlockingIOError:
                await self._readable(sock)
                continue
            if not data:
                raise EOFError("closed before its end")
            header = parse(data)
            if header is not None:
                sock.recv(header.size)
                return header
            await asyncio.sleep(_LOOK_AGAIN)

    async def _readable(self, sock: socket.socket) -> None:
        ready = asyncio.Event()
        self._loop.add_reader(sock, ready.set)
        try:
            await ready.wait()
        finally:
            self._loop.remove_reader(sock)

    async def _open(self, sock: socket.socket, header: ProxyHeader | None = None) -> None:
        proxied, fd = self._context.proxied, sock.fileno()
        if header is not None:
            proxied[fd] = header
        spare = _second_handle(sock) if self._options else None
        try:
            # Network trouble, and TLS handshakes that fail, are the peer's affair; there is nobody
            # to be told, but for those who speak HTTP in the clear.
            await self._loop.connect_accepted_socket(self._factory, sock, **self._options)
        except ssl.SSLError as error:
            if spare is not None and error.reason == "HTTP_REQUEST":
                with contextlib.suppress(OSError):
                    spare.send(NOT_TLS)
        except (OSError, asyncio.CancelledError):
            return
        finally:
            proxied.pop(fd, None)
            if spare is not None:
                spare.close()


def _second_handle(sock: socket.socket) -> socket.socket | None:
    """The loop closes the socket of a TLS handshake that fails, and with it the way to say so."""
    try:
        return sock.dup()
    except OSError:
        return None
