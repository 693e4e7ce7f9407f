"""The registry: the one table from topic names to topic classes.

What lives here: registration, and the resolution of names, those off the wire included.
What must not: a look-up by anything but a registered route.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from seaway.exceptions import UnknownTopic
from seaway.layers.base import LEGAL_NAME

if TYPE_CHECKING:
    from seaway.topics.topic import Topic


class Registry:
    """Topic classes with a route, in the order of their definition."""

    __slots__ = ("_topics",)

    def __init__(self) -> None:
        self._topics: dict[str, type[Topic]] = {}

    def __iter__(self) -> Iterator[type[Topic]]:
        return iter(self._topics.values())

    def add(self, topic: type[Topic]) -> None:
        """Register a class. One of the same module and qualified name is replaced: a module that
        is imported anew (a reload, a notebook) defines the same topic once more."""
        self._topics[f"{topic.__module__}.{topic.__qualname__}"] = topic

    def resolve(self, name: str) -> tuple[type[Topic], dict[str, Any]]:
        """The topic class whose route fits ``name``, and the route's parameters. The first fits.

        :raises UnknownTopic: no route does, or the name is not legal.
        """
        if LEGAL_NAME.fullmatch(name) is not None:
            for topic in self._topics.values():
                route = topic.get_route()
                values = None if route.problem else route.match(name)
                if values is not None:
                    return topic, values
        raise UnknownTopic(f"There is no topic {name[:80]!r}.")

    @contextlib.contextmanager
    def isolated(self) -> Iterator[None]:
        """For tests: start with an empty table, and put the old one back at the end."""
        before, self._topics = self._topics, {}
        try:
            yield
        finally:
            self._topics = before


registry = Registry()
