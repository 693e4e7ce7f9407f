"""A membership: one connection's join of one topic, and the running of the topic's methods.

What lives here: the way from a request of a client into the developer's code and back as JSON.
What must not: streams and subscriptions (`seaway.layers.hub`), or what is on the wire (dialects).

The user is loaded anew for each join, call, leave and description, and let go after it: a log-out
takes effect at once, and an idle connection holds no user. A synchronous method runs in the same
hop to the pool that loads the user; an asynchronous one runs on the loop, with a hop before it
only for visitors who have a session.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from seaway.auth import Visitor
from seaway.exceptions import Forbidden, UnknownAction
from seaway.layers.base import History
from seaway.pool import refresh_connections, run_in_pool
from seaway.topics.answers import answering
from seaway.topics.encoding import encode_json
from seaway.topics.registry import registry
from seaway.topics.topic import Topic

logger = logging.getLogger("seaway.topics")


class Membership:
    """Made by `open`. Its coroutines must not overlap: requests about one topic have an order."""

    __slots__ = ("_joined", "_parameters", "_visitor", "topic")

    def __init__(self, topic: Topic, visitor: Visitor, parameters: Mapping[str, Any]) -> None:
        self.topic = topic
        self._visitor = visitor
        self._parameters = parameters
        self._joined = False

    @classmethod
    def open(cls, name: str, visitor: Visitor, connection: str) -> Membership:
        """Find the topic. Runs nothing of its code but ``__init__``.

        :param connection: the connection's id.
        :raises UnknownTopic: no route leads to the name.
        :raises Forbidden: the topic defines no ``join``.
        """
        with answering(f"Opening {name[:80]!r}"):
            topic_class, parameters = registry.resolve(name)
            if _join_of(topic_class) is None:
                raise Forbidden("This topic cannot be joined.")
            return cls(topic_class(name, connection), visitor, parameters)

    @property
    def name(self) -> str:
        return self.topic.name

    @property
    def presence(self) -> bool:
        return self.topic.presence

    @property
    def history(self) -> History | None:
        return self.topic.history

    async def join(self) -> bytes:
        """Run ``join``; the snapshot as JSON. :raises TopicError: the join is refused."""
        topic = self.topic
        keep = topic.presence and type(topic).member is not Topic.member
        with answering(self._where("join")):
            join = _join_of(topic)
            snapshot = encode_json(await self._run(join, self._parameters, keep=keep), "The result")
        self._joined = True
        return snapshot

    async def call(self, action: str, args: bytes) -> bytes:
        """Run an action; what it returns as JSON.

        :param args: a JSON object; empty stands for no arguments.
        :raises TopicError: the answer to the caller is an error.
        """
        entry = self.topic.actions.get(action)
        if entry is None:
            raise UnknownAction(f"{self.name} has no action {action[:80]!r}.")
        with answering(self._where(action)):
            method = entry.function.__get__(self.topic)
            return encode_json(await self._run(method, entry.decode(args)), "The result")

    async def leave(self) -> None:
        """Run the ``leave`` hook, once for each join that succeeded. Never raises: the client is
        gone, so what goes wrong is for the log alone."""
        if not self._joined:
            return
        self._joined = False
        if type(self.topic).leave is Topic.leave:
            return
        try:
            await self._run(self.topic.leave, {})
        except Exception:
            logger.exception("%s failed", self._where("leave"))

    async def describe(self) -> bytes:
        """What the other members are told, as a JSON object: ``id``, and what ``member`` returns.

        Called right after `join` it takes the user from there; later it loads the user anew.

        :raises TopicError: ``member`` failed.
        """
        described: dict[str, Any] = {"id": self.topic.connection}
        with answering(self._where("member")):
            if type(self.topic).member is not Topic.member:
                described.update(await self._run(self.topic.member, {}))
            described["id"] = self.topic.connection
            return encode_json(described, "The result")

    async def _run(
        self, method: Callable[..., Any], arguments: Mapping[str, Any], *, keep: bool = False
    ) -> Any:
        """Run a method with the visitor's user and session in place, wherever it belongs.

        :param keep: leave the user in place for the method that follows at once.
        """
        try:
            if inspect.iscoroutinefunction(method):
                await self._prepare()
                result = await method(**arguments)
            else:
                result = await run_in_pool(self._identify_and_run, method, arguments)
                # A plain function may hand out a coroutine: a decorator's wrapper, a partial.
                if inspect.isawaitable(result):
                    result = await result
        except BaseException:
            keep = False
            raise
        finally:
            if not keep:
                vars(self.topic).pop("user", None)
                vars(self.topic).pop("session", None)
        return result

    async def _prepare(self) -> None:
        """The user for an asynchronous method: from the pool if there is I/O to do."""
        if self._visitor.known:
            await run_in_pool(self._identify)
        else:
            self._identify()
        await refresh_connections()

    def _identify(self) -> None:
        topic = self.topic
        if "user" in vars(topic):
            return
        topic.user, topic.session = self._visitor.identify()
        topic.session_key = None if topic.session is None else topic.session.session_key

    def _identify_and_run(self, method: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        self._identify()
        return method(**arguments)

    def _where(self, what: str) -> str:
        return f"{type(self.topic).__qualname__}.{what} of topic {self.name!r}"


def _join_of(owner: object) -> Any:
    """``join`` is not defined on `Topic`, because its parameters are the route's."""
    return getattr(owner, "join", None)
