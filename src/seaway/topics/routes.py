"""Routes: topic names to parameters and back, with the path converters of urls.py.

What lives here: one route. What must not: topics, and the table of all routes (`registry`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.urls.resolvers import RoutePattern

from seaway.exceptions import ConfigurationError, InvalidName
from seaway.layers.base import LEGAL_NAME, check_name

#: How the names of topics start by which processes talk to each other: no route leads to them,
#: not even one that is all parameter.
RESERVED = "~"

_PARAMETER = re.compile(r"<(?:[^>:]+:)?([^>]+)>")


class Route:
    """A template such as ``events/<int:event_id>/seats``.

    Compiled when first used: by then every app has registered its converters.
    """

    def __init__(self, template: str) -> None:
        self.template = template

    def __repr__(self) -> str:
        return f"<Route {self.template!r}>"

    @functools.cached_property
    def problem(self) -> str | None:
        """What is wrong with the template, or None. A route with a problem leads nowhere."""
        if not isinstance(self.template, str) or not self.template:
            return "A route has to be a string that is not empty."
        try:
            self.shape  # noqa: B018 - compiles the expression
        except (ImproperlyConfigured, re.error) as exc:
            return str(exc)
        literal = _PARAMETER.sub("", self.template)
        if "<" in literal or ">" in literal:
            return f"Route {self.template!r} has an unmatched angle bracket."
        if literal and LEGAL_NAME.fullmatch(literal) is None:
            return (
                f"Route {self.template!r} can never match: topic names are at most 200 printable "
                "ASCII characters without spaces, double quotes and backslashes."
            )
        if self.template.startswith(RESERVED):
            return (
                f"Route {self.template!r} starts with {RESERVED!r}, which Seaway keeps for itself."
            )
        if "self" in self._pattern.converters:
            return f"Route {self.template!r} has a parameter named 'self'."
        return None

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        return tuple(self._pattern.converters)

    @functools.cached_property
    def shape(self) -> str:
        """The expression without the names of its parameters: equal for routes that collide."""
        return re.sub(r"\?P<\w+>", "", self._pattern.regex.pattern)

    def match(self, name: str) -> dict[str, Any] | None:
        """The parameters' Python values, or None when the name is not one of this route.

        Each set of parameters has one name, the one that `name` makes: ``events/007`` does not
        match ``events/<int:pk>``, for nothing is ever published on it.
        """
        found = self._pattern.match(name)
        if found is None or name.startswith(RESERVED):
            return None
        values: dict[str, Any] = found[2]
        try:
            return values if self._fill(values) == name else None
        except ValueError:
            return None

    def name(self, values: Mapping[str, Any]) -> str:
        """The topic name for these parameters.

        :raises TypeError: a parameter is missing or unknown.
        :raises InvalidName: a value does not fit its converter, or makes no legal name.
        :raises ConfigurationError: the route itself is wrong.
        """
        if self.problem is not None:
            raise ConfigurationError(self.problem)
        if values.keys() != self._pattern.converters.keys():
            takes = ", ".join(self.parameters) or "no parameters"
            given = ", ".join(values) or "none"
            raise TypeError(f"Route {self.template!r} takes {takes}; given: {given}.")
        try:
            name = self._fill(values)
        except ValueError as exc:
            raise InvalidName(f"Route {self.template!r} cannot be filled: {exc}") from exc
        if self.match(name) is None:
            shown = ", ".join(f"{key}={value!r}" for key, value in values.items())
            raise InvalidName(f"Route {self.template!r} does not allow {shown}.")
        return check_name(name)

    @functools.cached_property
    def _pattern(self) -> RoutePattern:
        return RoutePattern(self.template, is_endpoint=True)

    def _fill(self, values: Mapping[str, Any]) -> str:
        converters = self._pattern.converters
        return _PARAMETER.sub(lambda m: converters[m[1]].to_url(values[m[1]]), self.template)
