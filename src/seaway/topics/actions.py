"""Actions: methods that a client may call, and the validation of their arguments.

What lives here: `action`, and the table of a class's actions made from what it marked.
What must not: running one (`membership`), or any look-up by ``getattr``.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any, TypeVar, get_type_hints, overload

import msgspec

from seaway.exceptions import ConfigurationError, InvalidArguments

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "_seaway_action"
_UNSUPPORTED_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "is positional-only",
    inspect.Parameter.VAR_POSITIONAL: "takes any number of arguments",
    inspect.Parameter.VAR_KEYWORD: "takes any keyword arguments",
}
#: msgspec's messages, and what we make of them with the path in which it found the fault.
_MISSING = re.compile(r"Object missing required field `(.+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`")


@overload
def action(method: F, /) -> F: ...
@overload
def action(*, once: bool = False) -> Callable[[F], F]: ...
def action(method: F | None = None, /, *, once: bool = False) -> F | Callable[[F], F]:
    """Mark a method of a `Topic` as one that clients may call by its name.

    Arguments arrive by keyword and are validated from the annotations, which every parameter needs:
    anything that msgspec decodes, dataclasses and ``msgspec.Struct`` included. Nothing is
    converted: ``"12"`` is not an ``int``.

    :param once: a call that its client repeats takes effect once (`seaway.topics.once`).
    """
    if method is None:
        return functools.partial(_mark, once=once)
    return _mark(method, once=once)


def _mark(method: F, *, once: bool) -> F:
    if not inspect.isfunction(method):
        raise TypeError(f"@action marks a method, written as a plain function, not {method!r}.")
    setattr(method, _MARK, {"once": once})
    return method


class Action:
    """One entry of a class's table.

    :param owner: the qualified name of the class, for messages.
    :param once: whether its calls may be repeated.
    """

    def __init__(
        self, name: str, function: Callable[..., Any], owner: str, *, once: bool = False
    ) -> None:
        self.name = name
        self.once = once
        self.function = function
        self.owner = owner

    def __repr__(self) -> str:
        return f"<Action {self.owner}.{self.name}>"

    @functools.cached_property
    def problem(self) -> str | None:
        """What makes this action unusable, or None. Annotations are resolved here at the latest."""
        where = f"Action {self.owner}.{self.name}"
        try:
            arguments = self._arguments
        except ConfigurationError as exc:
            return f"{where}: {exc}"
        for name, unsupported in _unsupported(arguments):
            return f"{where}: JSON arguments cannot be checked against {name}: {unsupported!r}."
        return None

    def decode(self, raw: bytes | msgspec.Raw) -> dict[str, Any]:
        """Arguments by name, from a JSON object; those with a default may be absent from it.

        :param raw: the JSON; empty stands for no arguments.
        :raises InvalidArguments: the message names the first that is wrong, missing or unknown.
        :raises ConfigurationError: the action itself is wrong.
        """
        if self.problem is not None:
            raise ConfigurationError(self.problem)
        try:
            decoded = self._decoder.decode(bytes(raw) or b"{}")
        except msgspec.ValidationError as exc:
            raise InvalidArguments(_in_plain_words(str(exc))) from exc
        except (ValueError, RecursionError) as exc:
            raise InvalidArguments("The arguments are not valid JSON.") from exc
        values = ((name, getattr(decoded, name)) for name in self._arguments.__struct_fields__)
        return {name: value for name, value in values if value is not msgspec.UNSET}

    @functools.cached_property
    def _decoder(self) -> msgspec.json.Decoder[Any]:
        return msgspec.json.Decoder(self._arguments)

    @functools.cached_property
    def _arguments(self) -> type[msgspec.Struct]:
        """The struct that arguments are decoded into. Absent ones stay UNSET and are not passed:
        a default is evaluated by Python, where it stands."""
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        try:
            hints = _hints(self.function)
            for parameter in list(inspect.signature(self.function).parameters.values())[1:]:
                name = parameter.name
                if parameter.kind in _UNSUPPORTED_KINDS:
                    raise ConfigurationError(f"{name!r} {_UNSUPPORTED_KINDS[parameter.kind]}.")
                if name not in hints:
                    raise ConfigurationError(f"parameter {name!r} has no annotation.")
                if parameter.default is parameter.empty:
                    fields.append((name, hints[name]))
                else:
                    fields.append((name, hints[name] | msgspec.UnsetType, msgspec.UNSET))
            struct = msgspec.defstruct(
                "Arguments", fields, kw_only=True, forbid_unknown_fields=True
            )
            msgspec.json.Decoder(struct)
        except (NameError, AttributeError, SyntaxError) as exc:
            raise ConfigurationError(f"an annotation cannot be resolved: {exc}") from exc
        except (TypeError, ValueError) as exc:
            raise ConfigurationError(f"its annotations cannot be used: {exc}") from exc
        return struct


def collect(cls: type) -> Mapping[str, Action]:
    """The actions of a class, inherited ones included.

    A method that overrides an action is an action only if it is marked as well: what clients may
    call is written where it is defined.
    """
    table: dict[str, Action] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            table.pop(name, None)
            if inspect.isfunction(value) and (mark := getattr(value, _MARK, None)) is not None:
                table[name] = Action(name, value, base.__qualname__, **mark)
    return MappingProxyType(table)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters' annotations, resolved. What an action returns may stay unresolved: it is
    often imported for type checkers only, and we do not need it."""
    inner = inspect.unwrap(function)
    annotations = dict(inspect.get_annotations(inner))
    annotations.pop("return", None)
    holder = SimpleNamespace(__annotations__=annotations)
    return get_type_hints(holder, inner.__globals__, include_extras=True)


def _in_plain_words(message: str) -> str:
    """From "Object missing required field `x` - at `$.seats[0]`" to "seats[0].x is missing"."""
    fault, _, place = message.partition(" - at ")
    path = place.strip("`").removeprefix("$").removeprefix(".")
    for pattern, words in ((_MISSING, "is missing"), (_UNKNOWN, "is unknown")):
        found = pattern.fullmatch(fault)
        if found is not None:
            inner = ".".join(filter(None, (path, found[1])))
            return f"Invalid arguments: {inner} {words}."
    fault = fault.replace("`", "")
    fault = fault[:1].lower() + fault[1:]
    return f"Invalid arguments: {': '.join(filter(None, (path, fault)))}."


def _unsupported(struct: type[msgspec.Struct]) -> Iterator[tuple[str, Any]]:
    """Types for which msgspec would ask a hook that we do not have, with the argument's name."""
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)  # noqa: S101 - narrows for mypy
    for field in info.fields:
        for inner in _walk(field.type, set()):
            if isinstance(inner, msgspec.inspect.CustomType):
                yield field.name, inner.cls


def _walk(node: object, seen: set[int]) -> Iterator[object]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, tuple):
        for inner in node:
            yield from _walk(inner, seen)
    elif isinstance(node, msgspec.inspect.Type | msgspec.inspect.Field):
        yield node
        for name in node.__struct_fields__:
            yield from _walk(getattr(node, name), seen)
