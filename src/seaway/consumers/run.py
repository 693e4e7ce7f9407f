"""One consumer at work: its mailbox, and the loop that empties it.

What lives here: the order in which a consumer sees messages, and how it ends.
What must not: where wire messages come from and go to (`carrier`), what a handler does.

Idle, a consumer is its instance, a `Run` and a carrier. A task runs while there is something to
handle: one message after the other, those of the client and those of the channel layer, in the
order of their arrival.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seaway import pool
from seaway.consumers.carrier import Carrier
from seaway.consumers.grace import Grace
from seaway.consumers.handlers import LAST_TYPES, WIRE_TYPES, method_name
from seaway.consumers.layer import Letter, Message, Subscription, join, leave
from seaway.consumers.work import work_of_loop
from seaway.exceptions import CloseCode, StopConsumer
from seaway.layers.channels.messages import decode_in_turn

if TYPE_CHECKING:
    from seaway.consumers.consumer import AsyncConsumer

logger = logging.getLogger("seaway.consumers")

#: Messages of the client that are read while one is handled; then reading pauses.
READ_AHEAD = 32
#: The type of the message by which the server's going takes its turn in the mailbox.
_SHUTDOWN = "seaway.shutdown"
#: The type of the message by which the channel layer's failure does.
_FAILURE = "seaway.failure"
_OWN_TYPES = LAST_TYPES | {_SHUTDOWN, _FAILURE}


#: What waits: messages of the client and of Seaway itself (True), and those of the layer (False).
Inbox = deque[tuple[Any, bool]]


class Run:
    """One consumer, from its connection's beginning to its end.

    :ivar left: the client has gone, or is being sent away.
    :ivar ended: the consumer handles nothing any more.
    :ivar in_thread: a handler runs in a thread of the pool.
    :ivar task: while a handler waits for something: the task that waits.
    """

    __slots__ = (
        "_grace", "_inbox", "_joined", "_letters", "_subscription", "accepted", "carrier",
        "consumer", "context", "ended", "error", "in_thread", "left", "paused", "task", "work",
    )  # fmt: skip

    carrier: Carrier

    def __init__(self, consumer: AsyncConsumer) -> None:
        self.consumer = consumer
        self.context = contextvars.copy_context()
        self.accepted = self.left = self.ended = self.paused = False
        self.error: Exception | None = None
        self.work = work_of_loop()
        self._inbox: Inbox | None = None
        self._letters = 0
        self.task: asyncio.Task[None] | None = None
        self.in_thread = False
        self._grace: Grace | None = None
        self._joined: tuple[str, ...] = ()
        self._subscription: Subscription | None = None

    async def open(self, layer: Any) -> None:
        """Give the consumer its channel."""
        if layer is None:
            return
        channel = self.consumer.channel_name = await layer.new_channel()
        self._subscription = Subscription(layer, channel, self.put, self.fail)

    # What comes in -------------------------------------------------------------------------------

    def hear(self, message: Message) -> None:
        """A message from the wire."""
        if self.ended:
            return
        if message["type"] in LAST_TYPES:
            self.left = True
            if self._inbox is not None and self._grace is None:
                self._grace = Grace(self)
        self._append(message, wire=True)

    def put(self, message: Letter) -> None:
        """A message from the channel layer."""
        if self.ended or self.left:
            return
        if self._letters >= self.consumer.mailbox_size:
            self._overflow()
            return
        self._letters += 1
        if self._inbox is not None:
            self._inbox.append((message, False))
        else:
            self._append(message, wire=False)

    def fail(self, error: Exception) -> None:
        """The channel layer has failed for good."""
        if not self.ended:
            self._append({"type": _FAILURE, "error": error}, wire=True)

    def shut_down(self, reason: str) -> None:
        """The server goes: the consumer may say goodbye, then the connection is closed."""
        code = CloseCode.SERVICE_RESTART
        seconds = self.consumer.shutdown_seconds
        self.work.loop.call_later(seconds, self.carrier.close, code, reason)
        self._append({"type": _SHUTDOWN, "reason": reason}, wire=True)

    @property
    def busy(self) -> bool:
        """Whether a message is handled or waits."""
        return self._inbox is not None

    @property
    def backlog(self) -> int:
        """How many messages wait."""
        return 0 if self._inbox is None else len(self._inbox)

    def _append(self, message: Letter, *, wire: bool) -> None:
        if self._inbox is None:
            self._inbox = deque()
            self._inbox.append((message, wire))
            self.work.start(self)
        else:
            self._inbox.append((message, wire))

    def _overflow(self) -> None:
        """The consumer is too slow for its groups: better a client that reconnects than a gap that
        nobody knows of."""
        self.left = True
        logger.warning(
            "closed a connection: %d messages of the channel layer waited for %s path=%s",
            self._letters,
            type(self.consumer).__qualname__,
            self.consumer.scope.get("path"),
        )
        inbox = self._inbox or ()
        kept = [item for item in inbox if item[1]]
        if self._inbox is not None:
            self._inbox.clear()
            self._inbox.extend(kept)
        self.carrier.close(CloseCode.SLOW_CLIENT, "too many messages wait")

    # Handling ------------------------------------------------------------------------------------

    async def empty(self) -> None:
        """Handle what is in the mailbox, until nothing is."""
        work = self.work
        lease = None if self.consumer._sync else pool.lease(work.loop)
        try:
            if lease is None:
                await self._handle_all(None)
            else:
                with lease:
                    await self._handle_all(lease)
            if self.ended:
                await self._leave_groups()
        except BaseException:
            self._end()
            raise
        finally:
            self.task = None
            self._inbox = None
            if self.paused:
                self.paused = False
                self.carrier.eased()
            if self.ended:
                self.carrier.end(self.error)

    async def _handle_all(self, lease: pool.Lease | None) -> None:
        """The hot path of a group: as few calls for each message as there can be."""
        inbox, consumer = self._inbox, self.consumer
        known = consumer._known_types
        while inbox and not self.ended:
            message, wire = inbox.popleft()
            try:
                if not wire:
                    self._letters -= 1
                    if type(message) is bytes:
                        message = decode_in_turn(message)
                kind = message.get("type")
                if wire and kind in _OWN_TYPES:
                    await self._handle_own(message)
                elif kind not in WIRE_TYPES or wire or self._allows(message):
                    name = known.get(kind)
                    if name is not None:
                        await getattr(consumer, name)(message)
                    else:
                        await consumer.dispatch(message)
            except StopConsumer:
                self._end()
            except asyncio.CancelledError:
                if not self._was_cut(inbox):
                    raise
            except Exception as error:  # noqa: BLE001 - it ends this consumer only, which carries it
                await self._fail(error)
            if self.paused or (lease is not None and lease.taken):
                self._breathe(lease, len(inbox))

    def _breathe(self, lease: pool.Lease | None, waiting: int) -> None:
        """Between two messages."""
        if lease is not None:
            # Its database connections go back after each message.
            lease.renew()
        if self.paused and waiting < READ_AHEAD:
            self.paused = False
            self.carrier.eased()

    async def _handle_own(self, message: Message) -> None:
        """What is not the consumer's alone to handle."""
        kind = message["type"]
        if kind in LAST_TYPES:
            self._stop_grace()
            await self._leave_groups()
            await self._say_goodbye(message)
            self._end()
        elif kind == _SHUTDOWN:
            try:
                await self.call("server_shutdown")
            finally:
                self.carrier.close(CloseCode.SERVICE_RESTART, message["reason"])
        else:
            await self._fail(message["error"])

    def _allows(self, message: Message) -> bool:
        """Whether a message of the channel layer may pass for the client's own word."""
        kind = message["type"]
        if kind in self.consumer.layer_types:
            return True
        logger.error(
            "refused a message of the channel layer: only a client sends %s to %s",
            kind,
            type(self.consumer).__qualname__,
        )
        return False

    def _was_cut(self, inbox: Inbox) -> bool:
        """Whether a handler was cancelled because its client has gone: the consumer goes on."""
        if self._grace is None or not self._grace.was_it():
            return False
        # What waits before the disconnect was for a client that is not there.
        while inbox and not (inbox[0][1] and inbox[0][0]["type"] in LAST_TYPES):
            inbox.popleft()
        return True

    async def call(self, name: str, *args: Any) -> None:
        """Call a method: a coroutine function here, another in the pool."""
        method = getattr(self.consumer, name)
        if self.consumer._handlers[name]:
            await method(*args)
            return
        self.in_thread = True
        try:
            result = await pool.run_in_pool(method, *args)
        finally:
            self.in_thread = False
        if hasattr(result, "__await__"):
            await result

    # The end -------------------------------------------------------------------------------------

    async def _fail(self, error: Exception) -> None:
        self.error = error
        self.left = True
        self._stop_grace()
        if self.accepted:
            await self._leave_groups()
            code = int(CloseCode.INTERNAL_ERROR)
            await self._say_goodbye({"type": "websocket.disconnect", "code": code, "reason": ""})
        self._end()

    async def _say_goodbye(self, message: Message) -> None:
        """Let the consumer handle the last message, if it can."""
        if method_name(message["type"]) not in self.consumer._handlers:
            return
        try:
            await self.consumer.dispatch(message)
        except StopConsumer:
            pass
        except Exception as error:
            if self.error is None:
                self.error = error
            else:
                logger.exception("a consumer has failed once more at its end")

    def _end(self) -> None:
        self.ended = self.left = True
        self._stop_grace()
        if self._subscription is not None:
            self._subscription.end()
            self._subscription = None

    def _stop_grace(self) -> None:
        if self._grace is not None:
            self._grace.end()
            self._grace = None

    async def abandon(self) -> None:
        """The server has cancelled the consumer: stop what runs, leave the groups."""
        task = self.task
        self._end()
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self._leave_groups()

    # What goes out -------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Send an ASGI message. Groups are joined before the client learns that it is accepted:
        from then on it gets what is sent to them."""
        if message["type"] == "websocket.accept" and not self.accepted:
            groups = tuple(getattr(self.consumer, "groups", None) or ())
            if groups:
                self._joined = groups
                await join(
                    self.consumer.channel_layer, groups, getattr(self.consumer, "channel_name", "")
                )
            self.accepted = True
        await self.carrier.send(message)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The consumer's event loop."""
        return self.work.loop

    def post(self, call: Callable[..., object], *args: Any) -> None:
        """Have ``call(*args)`` called on the loop, from any thread, in the order of posting."""
        self.work.box.post(call, *args)

    async def _leave_groups(self) -> None:
        groups, self._joined = self._joined, ()
        if groups:
            await leave(self.consumer.channel_layer, groups, self.consumer.channel_name)
