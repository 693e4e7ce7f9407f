"""Serving from the calling thread: what runserver, tests and each worker process do.

What lives here: the loop's life, signals, and the way to stop from outside.
What must not: several processes (`supervisor`).
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable

from seaway.server import logs
from seaway.server.addresses import bind_all, close_all, remove_files, tls_context, unix_files, url
from seaway.server.application import Announce, Announcement, name_of, print_announcement
from seaway.server.asgi_types import Application
from seaway.server.board import Board
from seaway.server.config import ServerConfig
from seaway.server.context import Context
from seaway.server.server import Server, loop_factory

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Runner:
    """Runs one `Server` until it is told to stop.

    :param announce: is told once connections are accepted; on the loop's thread.
    :param sockets: bound sockets to serve; default: what ``config.bind`` says, removed at the end.
    """

    def __init__(
        self,
        app: Application,
        config: ServerConfig,
        *,
        announce: Announce = print_announcement,
        sockets: list[socket.socket] | None = None,
        board: Board | None = None,
    ) -> None:
        self._app = app
        self._config = config
        self._announce = announce
        self._sockets = sockets
        self._board = board
        self._replaced = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._hurry: asyncio.Event | None = None
        #: Called with the loop once it runs, before the application's startup.
        self.on_loop: Callable[[asyncio.AbstractEventLoop], None] | None = None
        #: Called about once a second with what the connections share.
        self.on_sweep: Callable[[Context], None] | None = None

    def run(self) -> None:
        """Serve until `stop`, SIGTERM or SIGINT. Raises `ConfigurationError`.

        Signals are handled in the main thread only; the second one cuts connections off.
        """
        tls_context(self._config)
        self._loop_name, factory = loop_factory(self._config.loop)
        owned = self._sockets is None
        sockets = bind_all(self._config) if self._sockets is None else self._sockets
        files = unix_files(sockets) if owned else []
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(self._main(sockets))
        finally:
            close_all(sockets)
            remove_files(files)

    def stop(self) -> None:
        """Begin to stop; a second call cuts connections off. May be called from any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.stop_soon)

    def stop_soon(self) -> None:
        """`stop`, for callers on the loop itself."""
        if self._stop is not None and self._hurry is not None:
            (self._hurry if self._stop.is_set() else self._stop).set()

    def replaced(self) -> None:
        """Begin to stop because another worker has taken this one's place; on the loop."""
        if self._stop is not None and not self._stop.is_set():
            self._replaced = True
            self._stop.set()

    async def _main(self, sockets: list[socket.socket]) -> None:
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        self._loop = loop = asyncio.get_running_loop()
        # Python lets only the main thread handle signals, and on Windows no loop.
        in_main = threading.current_thread() is threading.main_thread()
        signals = _STOP_SIGNALS if in_main and sys.platform != "win32" else ()
        for number in signals:
            loop.add_signal_handler(number, self.stop_soon)
        if self.on_loop is not None:
            self.on_loop(loop)
        try:
            await self._serve(sockets)
        finally:
            # What follows waits for threads of the application: a signal must still end it.
            for number in signals:
                loop.remove_signal_handler(number)

    async def _serve(self, sockets: list[socket.socket]) -> None:
        server = Server(self._app, self._config, sockets, self._board)
        await server.start()
        if self.on_sweep is not None:
            server.watch(self.on_sweep)
        urls = [url(sock, tls=self._config.tls) for sock in sockets]
        self._announce(Announcement(urls, 1, self._loop_name, name_of(self._app), server.details))
        assert self._stop is not None  # noqa: S101 - set in _main, for the type checker
        assert self._hurry is not None  # noqa: S101 - likewise
        await self._stop.wait()
        stopping = asyncio.ensure_future(server.stop(replaced=self._replaced))
        hurry = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait([stopping, hurry], return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not stopping.done():
            stopping.cancel()
            await asyncio.wait([stopping])
            await server.stop(timeout=0)
        else:
            stopping.result()


def run(app: Application, config: ServerConfig, *, announce: Announce = print_announcement) -> None:
    """Serve ``app`` from this process and thread until it is told to stop.

    Raises `ConfigurationError`.
    """
    logs.configure(config)
    Runner(app, config, announce=announce).run()
