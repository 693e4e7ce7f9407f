"""A membership: one connection's join of one topic, and the running of the topic's methods.

What lives here: the way from a request of a client into the developer's code and back as JSON.
What must not: streams and subscriptions (`seaway.layers.hub`), or what is on the wire (dialects).

The user is loaded anew for each join, call, leave and description, and let go after it: a log-out
takes effect at once, and an idle connection holds no user. A synchronous method runs in the same
hop to the pool that loads the user; an asynchronous one runs on the loop, with a hop before it
only for visitors who have a session.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast

from asgiref.sync import async_to_sync

from seaway.auth import Visitor
from seaway.conf import layer_home
from seaway.exceptions import Forbidden, NotRepeatable, UnknownAction
from seaway.layers.base import LEGAL_NAME, History, Layer
from seaway.pool import refresh_connections, run_in_pool
from seaway.topics.actions import Action
from seaway.topics.answers import answering
from seaway.topics.encoding import encode_json
from seaway.topics.once import answer_once
from seaway.topics.registry import registry
from seaway.topics.topic import Topic

logger = logging.getLogger("seaway.topics")


class Membership:
    """Made by `open`. Its coroutines must not overlap: requests about one topic have an order."""

    __slots__ = ("_joined", "_layer", "_parameters", "_person", "_visitor", "topic")

    def __init__(self, topic: Topic, visitor: Visitor, parameters: Mapping[str, Any]) -> None:
        self.topic = topic
        self._visitor = visitor
        self._parameters = parameters
        self._joined = False
        self._person = ""
        #: Where it is present.
        self._layer: Layer | None = None

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
    def presence(self) -> bool | Literal["count"]:
        return self.topic.presence

    @property
    def history(self) -> History | None:
        return self.topic.history

    async def join(self) -> bytes:
        """Run ``join``; the snapshot as JSON. :raises TopicError: the join is refused."""
        topic = self.topic
        keep = topic.presence is True and type(topic).member is not Topic.member
        with answering(self._where("join")):
            join = _join_of(topic)
            snapshot = encode_json(await self._run(join, self._parameters, keep=keep), "The result")
        self._joined = True
        return snapshot

    async def call(self, action: str, args: bytes, key: str = "") -> bytes:
        """Run an action; what it returns as JSON.

        :param args: a JSON object; empty stands for no arguments.
        :param key: of a call that takes effect once; otherwise empty.
        :raises TopicError: the answer to the caller is an error.
        """
        entry = self.topic.actions.get(action)
        if entry is None:
            raise UnknownAction(f"{self.name} has no action {action[:80]!r}.")
        with answering(self._where(action)):
            arguments = entry.decode(args)
            if not key:
                return await self._act(entry, arguments)
            if not entry.once:
                raise NotRepeatable(f"{action} is not an action that takes effect once.")
            return await answer_once(
                self.name, action, key, lambda: self._act_and_answer(entry, arguments)
            )

    async def _act(self, entry: Action, arguments: Mapping[str, Any]) -> bytes:
        method = entry.function.__get__(self.topic)
        return encode_json(await self._run(method, arguments), "The result")

    async def _act_and_answer(self, entry: Action, arguments: Mapping[str, Any]) -> bytes:
        """What went wrong becomes the answer here already: it is to be remembered, too."""
        with answering(self._where(entry.name)):
            return await self._act(entry, arguments)

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

    async def enter(self, layer: Layer) -> None:
        """Be present, on a topic with presence, as the person that the user is.

        Called right after `join` it takes the user from there.

        :raises TopicError: ``member`` failed. :raises LayerError: nobody was told.
        """
        info = b"{}" if self.presence == "count" else await self.describe()
        await layer.enter(self.name, self.topic.connection, info, self._person)
        self._layer = layer
        self.topic._membership = self

    async def depart(self, layer: Layer) -> None:
        """Be present no more. :raises LayerError: nobody was told."""
        self._layer = None
        self.topic._membership = None
        await layer.leave(self.name, self.topic.connection)

    async def update(self) -> None:
        """Tell the other members what ``member`` returns now; nothing while not present.

        :raises TopicError: ``member`` failed. :raises LayerError: nobody was told.
        """
        layer = self._layer
        if layer is None or self.presence == "count":
            return
        # The action that asked for it still needs its user.
        info = await self.describe(keep="user" in vars(self.topic))
        if self._layer is layer:
            await layer.enter(self.name, self.topic.connection, info, self._person)

    def update_here(self) -> None:
        """`update` for synchronous code, in the thread and as the user of the method that asks."""
        layer, member = self._layer, self.topic.member
        if layer is None or self.presence == "count":
            return
        with answering(self._where("member")):
            said = async_to_sync(member)() if inspect.iscoroutinefunction(member) else member()
            info = self._encoded(cast("Mapping[str, Any]", said))
        name, connection, person = self.name, self.topic.connection, self._person
        layer_home().run(lambda layer: layer.enter(name, connection, info, person))

    async def describe(self, *, keep: bool = False) -> bytes:
        """What the other members are told, as a JSON object: ``id``, and what ``member`` returns.

        :param keep: leave the user in place.
        :raises TopicError: ``member`` failed.
        """
        with answering(self._where("member")):
            if type(self.topic).member is Topic.member:
                return self._encoded({})
            return self._encoded(await self._run(self.topic.member, {}, keep=keep))

    def _encoded(self, said: Mapping[str, Any]) -> bytes:
        described: dict[str, Any] = {"id": self.topic.connection}
        described.update(said)
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
        if self._visitor.known and "user" not in vars(self.topic):
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
        self._person = person_of(topic.user) if topic.presence else ""

    def _identify_and_run(self, method: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        self._identify()
        return method(**arguments)

    def _where(self, what: str) -> str:
        return f"{type(self.topic).__qualname__}.{what} of topic {self.name!r}"


def person_of(user: Any) -> str:
    """Who a user is for `Layer.headcount`: by its key; empty for one who has not logged in."""
    key = "" if not getattr(user, "is_authenticated", False) else str(user.pk)
    if not key or LEGAL_NAME.fullmatch(key):
        return key
    return hashlib.sha256(key.encode()).hexdigest()


def _join_of(owner: object) -> Any:
    """``join`` is not defined on `Topic`, because its parameters are the route's."""
    return getattr(owner, "join", None)
