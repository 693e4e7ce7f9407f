"""One process that serves: an application, its lifespan, and a listener, in their order.

What lives here: `Server`, and the choice of the event loop.
What must not: signals and threads (`run`), processes (`supervisor`, `worker`).
"""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import Callable

from seaway.exceptions import ConfigurationError
from seaway.server.application import hints
from seaway.server.asgi_types import Application
from seaway.server.board import Board
from seaway.server.config import ServerConfig
from seaway.server.context import Context
from seaway.server.health import Health
from seaway.server.lifespan import Lifespan
from seaway.server.listener import Listener


class Server:
    """Serves ``app`` on bound sockets, on the running loop, from `start` to `stop`."""

    def __init__(
        self,
        app: Application,
        config: ServerConfig,
        sockets: list[socket.socket],
        board: Board | None = None,
    ) -> None:
        self._app = app
        self._config = config
        self._sockets = sockets
        self._board = board
        self._lifespan = Lifespan(app, config.lifespan)
        self._listener: Listener | None = None
        self._context: Context

    @property
    def details(self) -> list[str]:
        """What the application says of itself, and hints, for the start block."""
        return [*self._lifespan.details, *hints(self._app)]

    async def start(self) -> None:
        """Run the application's startup, then accept connections.

        Raises `StartupFailed` or `ConfigurationError`.
        """
        await self._lifespan.start()
        loop = asyncio.get_running_loop()
        context = Context(self._app, self._config, self._lifespan.state, loop)
        if self._config.health_path:
            health = Health(context, self._config.health_path)
            context.app, context.take = health, health.seaway_respond
        self._context = context
        self._listener = Listener(context, self._sockets, self._board)
        try:
            await self._listener.start()
        except ConfigurationError:
            await self._lifespan.stop()
            raise

    def watch(self, on_sweep: Callable[[Context], None]) -> None:
        """Have ``on_sweep`` called about once a second, from `start` on."""
        assert self._listener is not None  # noqa: S101 - for the type checker: after `start`
        self._listener.on_sweep = functools.partial(on_sweep, self._context)

    async def stop(self, *, timeout: float | None = None, replaced: bool = False) -> None:
        """Stop accepting, let connections finish for ``timeout`` seconds, run the shutdown.

        The default for ``timeout`` is the option ``drain_timeout``. ``replaced``: another worker
        has taken this one's place, so the server as a whole does not stop.
        """
        if self._listener is not None:
            if not replaced:
                self._context.stopping = True
                if self._config.drain_delay and timeout is None:
                    # Whoever watches health_path sends nobody here any more, and until then
                    # nobody is refused.
                    await asyncio.sleep(self._config.drain_delay)
            await self._listener.drain(self._config.drain_timeout if timeout is None else timeout)
            self._listener.close()
        await self._lifespan.stop()
        if self._listener is not None:
            self._context.lane.close()


def loop_factory(name: str) -> tuple[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What the option ``loop`` stands for: the loop's own name, and how to make one."""
    if name != "asyncio":
        try:
            import uvloop
            from uvloop._version import __version__ as version
        except ImportError as error:
            if name == "uvloop":
                raise ConfigurationError("uvloop is not installed.") from error
        else:
            return f"uvloop {version}", uvloop.new_event_loop
    return "asyncio", asyncio.new_event_loop
