"""The listener: accepts connections, counts them, watches their deadlines, and lets them go.

What lives here: the acceptors of a worker, its one sweep timer, and the drain.
What must not: binding (`addresses`), accepting (`acceptor`), bytes of any protocol.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
import sys
from collections.abc import Callable
from typing import Any

from seaway.exceptions import ConfigurationError
from seaway.server.acceptor import Acceptor
from seaway.server.addresses import is_unix, tls_context
from seaway.server.board import Board
from seaway.server.connection import HttpConnection
from seaway.server.context import Context
from seaway.server.handoff import DRAIN
from seaway.server.logs import log_event, server_log
from seaway.server.socket_sink import SocketSink

#: Connections that are told to go in one turn of the loop: a Close frame costs about 10 µs.
_DRAIN_SLICE = 200
#: WebSockets are told to go over this many seconds each, up to ``drain_spread`` for all: their
#: handlers' work, and their clients' return, should not come in one instant.
_DRAIN_EACH, _DRAIN_STEP = 0.001, 0.02


class Listener:
    """Serves the connections of one worker on sockets that are already bound."""

    def __init__(
        self, context: Context, sockets: list[socket.socket], board: Board | None = None
    ) -> None:
        self._context = context
        self._sockets = sockets
        self._board = board
        self._acceptors: list[Acceptor | asyncio.Server] = []
        #: Called with each sweep.
        self.on_sweep: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        config = context.config
        shortest = min(
            config.header_timeout, config.body_timeout, config.idle_timeout, config.ping_interval
        )
        #: Seconds between two sweeps: deadlines are met this much late at most.
        self._tick = min(1.0, max(0.02, min(shortest, config.close_timeout) / 4))

    async def start(self) -> None:
        """Start to accept. Raises `ConfigurationError` for a certificate that does not load."""
        tls = tls_context(self._context.config)
        for sock in self._sockets:
            self._acceptors.append(await self._serve(sock, tls))
        self._sweep()

    async def _serve(self, sock: socket.socket, tls: Any) -> Acceptor | asyncio.Server:
        loop = self._context.loop
        if sys.platform != "win32":
            acceptor = Acceptor(self._context, sock, self._protocol, tls, self._board)
            acceptor.start()
            return acceptor
        # Its event loop cannot watch a socket.
        if self._context.config.proxy_protocol:
            raise ConfigurationError("The PROXY protocol is not there on Windows.")
        if not is_unix(sock):
            return await loop.create_server(self._protocol, sock=sock, ssl=tls, backlog=2048)
        options: dict[str, Any] = {"sock": sock, "ssl": tls, "backlog": 2048}
        # The file belongs to who bound the socket; a worker that goes must leave it.
        if "cleanup_socket" in inspect.signature(loop.create_unix_server).parameters:
            options["cleanup_socket"] = False
        return await loop.create_unix_server(self._protocol, **options)

    def _protocol(self) -> HttpConnection:
        return HttpConnection(self._context)

    def _sweep(self) -> None:
        """Move the coarse clock on, and expire what is due."""
        context = self._context
        now = context.now = context.loop.time()
        for connection in [each for each in context.open if each.deadline <= now]:
            try:
                connection.expire()
            except Exception as error:  # noqa: BLE001 - one connection must not stop the sweep
                log_event(server_log, logging.ERROR, "sweep_failed", error)
                connection.abort()
        if context.refused:
            log_event(server_log, logging.WARNING, "connections_refused", count=context.refused)
            context.refused = 0
        if context.peers is not None and context.peers.refused:
            count, context.peers.refused = context.peers.refused, 0
            log_event(server_log, logging.WARNING, "peers_refused", count=count)
        if self._board is not None and self._acceptors:
            self._board.note(len(context.open) + len(context.opening))
        if self.on_sweep is not None:
            self.on_sweep()
        self._timer = context.loop.call_later(self._tick, self._sweep)

    def stop_accepting(self) -> None:
        """Close the listening sockets of this process. Connections stay."""
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors.clear()
        if self._board is not None:
            self._board.stop()

    async def drain(self, timeout: float) -> None:
        """Let every connection finish what it has begun; after ``timeout`` seconds cut them off."""
        context = self._context
        context.draining = True
        context.now = context.loop.time()
        self.stop_accepting()
        for tell in context.state.get(DRAIN, ()):
            tell()
        try:
            async with asyncio.timeout(timeout):
                await self._tell_to_go(min(context.config.drain_spread, timeout / 2))
                context.notice_nobody()
                await context.nobody.wait()
        except TimeoutError:
            await self._cut_off()

    async def _tell_to_go(self, spread: float) -> None:
        """HTTP at once: an idle connection costs its client nothing. WebSockets and event streams
        over a time."""
        sinks = []
        for count, connection in enumerate(list(self._context.open)):
            if isinstance(connection, SocketSink):
                sinks.append(connection)
                continue
            connection.drain()
            if count % _DRAIN_SLICE == 0:
                await asyncio.sleep(0)
        steps = max(1, round(min(spread, _DRAIN_EACH * len(sinks)) / _DRAIN_STEP))
        size = -(-len(sinks) // steps)
        for start in range(0, len(sinks), size or 1):
            if start:
                await asyncio.sleep(_DRAIN_STEP)
            for sink in sinks[start : start + size]:
                sink.drain()

    async def _cut_off(self) -> None:
        context = self._context
        counts = {"connections": len(context.open), "requests": len(context.running)}
        log_event(server_log, logging.WARNING, "drain_timeout", **counts)
        tasks = [each.task for each in context.running if each.task is not None]
        for connection in list(context.open):
            connection.abort()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        # Lost connections are reported to their protocols in the next turn of the loop.
        for _ in range(3):
            await asyncio.sleep(0)

    def close(self) -> None:
        """Stop the sweep. The last call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
