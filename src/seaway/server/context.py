"""What all connections of one worker share.

What lives here: the application, the options, the open connections, the coarse clock, and the
headers that every response gets.
What must not: anything about one connection; accepting and sweeping (`listener`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from seaway.protocol.events import Headers
from seaway.protocol.http1 import HttpLimits
from seaway.protocol.http2 import Http2Limits
from seaway.protocol.proxy import ProxyHeader
from seaway.server.asgi_types import Application
from seaway.server.config import ServerConfig
from seaway.server.forwarded import Forwarded
from seaway.server.lane import Lane
from seaway.server.logs import log_event, server_log
from seaway.server.networks import Networks
from seaway.server.peers import Peers
from seaway.server.respond import take_of
from seaway.server.tls import leaf_certificate

#: A deadline that never comes.
NEVER = float("inf")
#: Bytes of a request's body that have to come in each ``body_timeout``: with its default, a tenth
#: of what the slowest modem sends. Any byte that counted would let a client hold a request open
#: for days with a few of them.
BODY_STEP = 1024

#: What RFC 9113 section 6.9.2 starts with: a smaller window would have to be taken back.
_LEAST_WINDOW = 65_535
#: So many requests of one connection may fill their windows before the others have to wait.
_CONNECTION_WINDOWS = 16


class OpenConnection(Protocol):
    """What the sweep and the drain need from a connection."""

    deadline: float
    """When `expire` is due, by ``context.now``."""

    def expire(self) -> None:
        """The deadline has passed: ping, answer 408, or close; and set the next deadline."""

    def drain(self) -> None:
        """The server is going: finish what was begun, then close. Idempotent."""

    def abort(self) -> None:
        """Close at once; unsent bytes are lost."""


class Running(Protocol):
    """A run of the application that a stop may have to cut short."""

    task: asyncio.Task[None] | None


class Context:
    """One worker's shared state."""

    __slots__ = (
        "app",
        "certificate",
        "config",
        "default_headers",
        "draining",
        "extensions",
        "forwarded",
        "http2_limits",
        "http_limits",
        "lane",
        "loop",
        "nobody",
        "now",
        "open",
        "opening",
        "peers",
        "proxied",
        "refused",
        "requests",
        "running",
        "state",
        "stopping",
        "take",
        "trusted",
    )

    def __init__(
        self,
        app: Application,
        config: ServerConfig,
        state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.app = app
        self.take = take_of(app)
        self.config = config
        self.state = state
        self.loop = loop
        #: The loop's time at the last sweep: good enough for time-outs, and free to read.
        self.now = loop.time()
        self.open: set[OpenConnection] = set()
        self.running: set[Running] = set()
        #: Connections that are not open yet: a TLS handshake or a PROXY header is awaited.
        self.opening: set[asyncio.Task[None]] = set()
        #: What a PROXY header has said, by descriptor, until the connection is open.
        self.proxied: dict[int, ProxyHeader] = {}
        self.trusted = Networks(config.trusted_proxies)
        self.forwarded = Forwarded(config, self.trusted) if config.forwarded != "off" else None
        limited = config.peer_connections or config.peer_rate
        self.peers = (
            Peers(config.peer_connections, config.peer_rate, self.trusted) if limited else None
        )
        #: Runs of the application so far.
        self.requests = 0
        #: Whether the whole server goes, not this worker alone.
        self.stopping = False
        self.draining = False
        #: Set once nothing is open and nothing runs; watched while draining only.
        self.nobody = asyncio.Event()
        #: Connections over the limit since the last sweep.
        self.refused = 0
        #: Writes one frame to many connections at once.
        self.lane = Lane(on=config.batch_writes == "auto")
        self.http_limits = HttpLimits(config.max_header_bytes, config.max_headers)
        self.http2_limits = Http2Limits(
            self.http_limits,
            streams=config.max_streams,
            stream_window=max(config.body_buffer, _LEAST_WINDOW),
            connection_window=_CONNECTION_WINDOWS * max(config.body_buffer, _LEAST_WINDOW),
        )
        #: The ASGI extensions of every HTTP request.
        self.extensions: dict[str, Any] = {
            "http.response.early_hint": {},
            "http.response.pathsend": {},
            "http.response.trailers": {},
        }
        #: The certificate that we show, for ASGI's extension ``tls``.
        self.certificate = leaf_certificate(config.certfile)
        #: What every response gets beside Date, which `protocol.http1` adds.
        self.default_headers: Headers = [(b"server", b"seaway")] if config.server_header else []

    def left(self, connection: OpenConnection) -> None:
        """A connection is gone."""
        self.open.discard(connection)
        if self.peers is not None:
            self.peers.left(connection)
        if self.draining:
            self.notice_nobody()

    def replaced(self, connection: OpenConnection, successor: OpenConnection) -> None:
        """Another protocol speaks over the same connection from now on."""
        self.open.discard(connection)
        self.open.add(successor)
        if self.peers is not None:
            self.peers.replaced(connection, successor)

    def opened(self, task: asyncio.Task[None]) -> None:
        """A connection is open, or will never be."""
        self.opening.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log_event(server_log, logging.ERROR, "accept_failed", error)
        if self.draining:
            self.notice_nobody()

    def finished(self, run: Running) -> None:
        """The application has ended one of its runs."""
        self.running.discard(run)
        self.requests += 1
        if self.draining:
            self.notice_nobody()

    def notice_nobody(self) -> None:
        """Set `nobody` if that is so."""
        if not self.open and not self.running and not self.opening:
            self.nobody.set()
