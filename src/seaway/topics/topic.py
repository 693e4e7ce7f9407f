"""`Topic`: the one class that a Django developer writes.

What lives here: what a topic declares, and what its methods find on ``self``.
What must not: how a join or a call is run (`membership`), or what is on the wire (dialects).
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from django.contrib.sessions.backends.base import SessionBase

from seaway.exceptions import ConfigurationError
from seaway.layers.base import Headcount, History, Position
from seaway.topics import actions as _actions
from seaway.topics.address import TopicAddress, forbid_running_loop
from seaway.topics.registry import registry
from seaway.topics.routes import Route

if TYPE_CHECKING:
    from seaway.topics.membership import Membership


class Topic:
    """A named stream of events that clients can join; subclass it in an app's ``topics.py``.

    A subclass with a ``route`` is registered; one without is a base for others. Each membership
    (one connection that joined one name) has an instance of its own, so what ``join`` puts on
    ``self`` is there in the actions. Methods may be ``def`` or ``async def``.

    A subclass defines ``join(self, **parameters)``: it authorises, and returns what a newcomer
    needs, as JSON. It takes the route's parameters by name. Without it, nobody may join.
    """

    #: The names of this topic, with path converters, as in ``urls.py``.
    route: ClassVar[str]
    #: How much of the past is kept for clients that come back; None keeps nothing.
    history: ClassVar[History | None] = None
    #: Whether members see each other; ``"count"``: they are told how many there are, not who.
    presence: ClassVar[bool | Literal["count"]] = False
    #: What clients may call; made from the methods marked with ``@action``.
    actions: ClassVar[Mapping[str, _actions.Action]] = MappingProxyType({})

    _route: ClassVar[Route]
    #: While present.
    _membership: Membership | None = None

    #: The name that was joined, as in ``"events/7/seats"``.
    name: str
    #: The connection's id, as its client and the other members know it.
    connection: str
    #: The key of the visitor's session, if there is such a session; looked up for each method.
    session_key: str | None = None
    #: The visitor's user, or ``AnonymousUser``; loaded anew for each method, gone after it.
    user: Any
    #: The visitor's session, likewise; None without sessions. Changes need a ``save()`` of yours.
    session: SessionBase | None

    def __init__(self, name: str, connection: str) -> None:
        self.name = name
        self.connection = connection

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.actions = _actions.collect(cls)
        if cls.presence not in (True, False, "count"):
            raise ConfigurationError(
                f'{cls.__qualname__}.presence is True, False or "count", not {cls.presence!r}.'
            )
        if "route" in vars(cls):
            cls._route = Route(cls.route)
            registry.add(cls)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in ("user", "session"):
                raise AttributeError(
                    f"self.{name} is there only while join, leave, member or an action runs. "
                    "Keep what you need of it, as in self.user_id = self.user.pk"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def leave(self) -> Awaitable[None] | None:
        """Called after a client that had joined has left, or its connection has ended."""
        return None

    def member(self) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]]:
        """What the other members are told of this one, if the topic has ``presence``."""
        return {}

    def update_member(self) -> None:
        """Tell the other members what `member` returns now; nothing while not joined.

        :raises SyncCallInLoop: this thread's event loop is running; use `aupdate_member`.
        :raises LayerUnavailable: nobody was told.
        """
        forbid_running_loop("update_member")
        membership = self._membership
        if membership is not None:
            membership.update_here()

    async def aupdate_member(self) -> None:
        """`update_member` for asynchronous code."""
        membership = self._membership
        if membership is not None:
            await membership.update()

    @classmethod
    def get_route(cls) -> Route:
        """The route, compiled. :raises ConfigurationError: the class has none."""
        route: Route | None = getattr(cls, "_route", None)
        if route is None:
            raise ConfigurationError(f"{cls.__qualname__} has no route: give it one.")
        return route

    @classmethod
    def at(cls, **parameters: Any) -> TopicAddress:
        """The topic with these parameters of the route, to publish to or ask for its members.

        :raises TypeError: a parameter is missing or unknown.
        :raises InvalidName: a value does not fit the route.
        """
        return TopicAddress(cls.get_route().name(parameters), cls.history)

    @property
    def address(self) -> TopicAddress:
        """This topic, as `at` gives it."""
        return TopicAddress(self.name, type(self).history)

    def publish(
        self, event: str, payload: object = None, *, using: str | None = None
    ) -> Position | None:
        """Publish on this topic: see `TopicAddress.publish`."""
        return self.address.publish(event, payload, using=using)

    async def apublish(
        self, event: str, payload: object = None, *, using: str | None = None
    ) -> Position | None:
        """`publish` for asynchronous code."""
        return await self.address.apublish(event, payload, using=using)

    def members(self) -> list[dict[str, Any]]:
        """Who is present on this topic: see `TopicAddress.members`."""
        return self.address.members()

    async def amembers(self) -> list[dict[str, Any]]:
        """`members` for asynchronous code."""
        return await self.address.amembers()

    def headcount(self) -> Headcount:
        """How many are present on this topic: see `TopicAddress.headcount`."""
        return self.address.headcount()

    async def aheadcount(self) -> Headcount:
        """`headcount` for asynchronous code."""
        return await self.address.aheadcount()
