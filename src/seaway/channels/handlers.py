"""Handlers: the functions that workers run for what arrives on channels.

What lives here: `Handler`, how often and how soon it is tried again, and the table of handlers.
What must not: running them; that is `seaway.workers`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from seaway.exceptions import ConfigurationError

if TYPE_CHECKING:
    from seaway.channels.channel import Channel


class Backoff(msgspec.Struct, frozen=True):
    """How long a failed message waits: ``first`` seconds, then twice as long each time, never more
    than ``longest``, and up to a quarter less, so that what failed together is not tried together.
    """

    first: float = 1.0
    longest: float = 300.0

    def __post_init__(self) -> None:
        if self.first < 0 or self.longest < self.first:
            raise ValueError("Backoff needs 0 <= first <= longest.")

    def after(self, attempt: int) -> float:
        """Seconds to wait after this attempt, counted from 1."""
        wait = self.first * 2.0 ** min(attempt - 1, 64)
        return min(wait, self.longest) * random.uniform(0.75, 1.0)  # noqa: S311 - no secret


class Handler:
    """What one worker process does with one channel. Made by `Channel.handler`.

    :param concurrency: how many messages it works on at a time, in one process.
    :param timeout: seconds after which it is stopped; the message is then tried again.
    :param tries: deliveries after which it is called only to say that it is over: such a message
        needs no free hand. None: there are none of these.
    :param queue: the task queue that it runs; empty for what the project wrote for a channel.
    :param label: what people are told that it is; the function's dotted path by default.
    """

    def __init__(
        self,
        channel: Channel,
        function: Callable[..., Any],
        *,
        concurrency: int,
        timeout: float | None,
        backoff: Backoff,
        tries: int | None = None,
        queue: str = "",
        label: str = "",
    ) -> None:
        if concurrency < 1 or (timeout is not None and timeout <= 0):
            raise ValueError("A handler needs concurrency >= 1 and timeout > 0.")
        self.channel = channel
        self.function = function
        self.concurrency = concurrency
        self.timeout = timeout
        self.backoff = backoff
        self.tries = tries
        self.queue = queue
        self._label = label or f"{function.__module__}.{function.__qualname__}"
        self.asynchronous = inspect.iscoroutinefunction(function)
        names = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        if len(names) not in (1, 2):
            raise ConfigurationError(
                f"{self}: a handler takes the value, and its Delivery if it has a second "
                f"parameter; this one takes {len(names)}."
            )
        self._first = names[0]
        self.takes_delivery = len(names) == 2

    def __str__(self) -> str:
        return self._label

    @functools.cached_property
    def decode(self) -> Callable[[bytes], Any]:
        """JSON to the value, validated from the annotation of the first parameter.

        The function raises ``msgspec.MsgspecError`` or ``ValueError``.
        """
        try:
            kind = get_type_hints(self.function).get(self._first, Any)
            return msgspec.json.Decoder(kind).decode
        except (NameError, TypeError) as error:
            raise ConfigurationError(f"{self}: its annotation cannot be used: {error}") from error


class HandlerTable:
    """Handlers by the name of their channel."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def add(self, handler: Handler) -> None:
        """Register one. A module imported anew replaces its own; two functions for one channel
        would share its messages by chance.

        :raises ConfigurationError: another function handles the channel.
        """
        before = self._handlers.get(handler.channel.name)
        if before is not None and str(before) != str(handler):
            raise ConfigurationError(
                f"The channel {handler.channel.name} has two handlers, {before} and {handler}: "
                "give each a channel of its own."
            )
        self._handlers[handler.channel.name] = handler

    def get(self, channel: str) -> Handler | None:
        return self._handlers.get(channel)

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._handlers.values())

    @contextlib.contextmanager
    def isolated(self) -> Iterator[None]:
        """For tests: start with an empty table, and put the old one back at the end."""
        before, self._handlers = self._handlers, {}
        try:
            yield
        finally:
            self._handlers = before


handlers = HandlerTable()
