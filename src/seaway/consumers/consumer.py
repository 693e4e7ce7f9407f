"""The base of all consumers: from messages to methods.

What lives here: `AsyncConsumer` and `SyncConsumer`, for any protocol.
What must not: the mailbox and the order of things (`run`), any particular protocol.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from seaway.consumers.asgi_carrier import serve
from seaway.consumers.handlers import HandlerTable, get_handler_name, handlers_of
from seaway.consumers.layer import Message
from seaway.consumers.run import Run
from seaway.consumers.threads import send_from_thread
from seaway.layers import get_channel_layer
from seaway.middleware import Receive, Scope, Send, pass_on

Application = Callable[[Any, Any, Any], Awaitable[Any]]


#: Types that a class remembers: more names lead to its handlers than anybody uses.
_MOST_TYPES = 256


class AsyncConsumer:
    """Handles one connection (or, under ``runworker``, one channel), one message at a time.

    A message is handled by the method that its ``type`` names, with "_" for ".". Methods are
    coroutine functions; a plain method runs in a thread of the pool.

    :cvar channel_layer_alias: which of ``CHANNEL_LAYERS`` is this consumer's.
    :cvar layer_types: types that a protocol server sends, and that this class takes from the
        channel layer as well; none, unless you say so.
    :cvar mailbox_size: messages of the channel layer that may wait for this consumer. One more
        closes its WebSocket with 4000 and a line in the log; another consumer fails.
    :cvar disconnect_grace: seconds that a coroutine which is running when the client goes may still
        take; then it is cancelled, and the disconnect is handled. See `disconnected`.
    :cvar shutdown_seconds: how long `server_shutdown` may take.

    :ivar scope: the connection's ASGI scope.
    :ivar channel_layer: the channel layer, or None.
    :ivar channel_name: this consumer's channel, if there is a layer.
    """

    _sync: ClassVar[bool] = False
    _handlers: ClassVar[HandlerTable] = {}
    #: Whether `dispatch` is the one below; then, by the type of a message, the names of those
    #: coroutine functions that it has found before.
    _is_plain: ClassVar[bool] = True
    _known_types: ClassVar[dict[Any, str]] = {}
    _says_goodbye: ClassVar[bool] = False

    channel_layer_alias: str = "default"
    layer_types: frozenset[str] = frozenset()
    mailbox_size: int = 1000
    disconnect_grace: float = 10.0
    shutdown_seconds: float = 5.0

    scope: Scope
    channel_layer: Any
    channel_name: str
    base_send: Any
    _seaway: Run

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._handlers = handlers_of(cls)
        cls._is_plain = cls.dispatch is AsyncConsumer.dispatch
        cls._known_types = {}
        module = cls.server_shutdown.__module__
        cls._says_goodbye = not module.startswith("seaway.consumers.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection: an ASGI application."""
        self.scope = scope
        self.channel_layer = get_channel_layer(self.channel_layer_alias)
        await serve(self, scope, receive, send)

    def _take_up(self, run: Run) -> None:
        self._seaway = run
        self.base_send = functools.partial(send_from_thread, run) if self._sync else run.send

    async def dispatch(self, message: Message) -> None:
        """Call the method that handles a message.

        :raises ValueError: the message has no type, or the class no such method.
        """
        name = get_handler_name(message)
        asynchronous = self._handlers.get(name)
        if asynchronous is None:
            raise ValueError(f"No handler for message type {message['type']}")
        if not asynchronous:
            await self._seaway.call(name, message)
            return
        if self._is_plain and len(self._known_types) < _MOST_TYPES:
            self._known_types[message["type"]] = name
        await getattr(self, name)(message)

    async def send(self, message: Message) -> None:
        """Send an ASGI message to the client. Waits for a client that is slow to read."""
        await self.base_send(message)

    async def channel_receive(self) -> Message:
        """The next message of this consumer's channel. Consumers get them by themselves."""
        message: Message = await self.channel_layer.receive(self.channel_name)
        return message

    def disconnected(self) -> bool:
        """Whether the client has gone: for handlers that run long. From any thread."""
        return self._seaway.left

    async def server_shutdown(self) -> None:
        """Called when the server goes, before it closes the connection: send a last word here.

        Under Seaway's server only.
        """

    @classmethod
    def as_asgi(cls, **initkwargs: Any) -> Any:
        """An ASGI application that makes an instance for each connection.

        :param initkwargs: what ``__init__`` gets.
        """

        async def app(scope: Scope, receive: Receive, send: Send) -> Any:
            consumer = cls(**initkwargs)
            pass_on(scope, app, consumer)
            return await consumer(scope, receive, send)

        app.consumer_class = cls  # type: ignore[attr-defined]  # part of the Channels API
        app.consumer_initkwargs = initkwargs  # type: ignore[attr-defined]  # likewise
        functools.update_wrapper(app, cls, updated=())
        return app


class SyncConsumer(AsyncConsumer):
    """A consumer whose methods are plain functions: each runs in a thread of the pool, so one does
    not wait for another consumer's."""

    _sync = True

    def send(self, message: Message) -> None:  # type: ignore[override]  # the synchronous twin
        """Send an ASGI message to the client."""
        self.base_send(message)

    def server_shutdown(self) -> None:  # type: ignore[override]  # the synchronous twin
        """See `AsyncConsumer.server_shutdown`."""
