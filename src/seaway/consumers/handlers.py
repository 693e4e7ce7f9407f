"""Which method of a consumer handles a message.

What lives here: the name that a message's type leads to, and each class's table of handlers.
What must not: calling them.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping
from typing import Any

#: What a protocol server sends. A message of such a type that comes through a channel layer is
#: refused: it would pass for the client's own word.
WIRE_TYPES = frozenset(
    {
        "http.request",
        "http.disconnect",
        "lifespan.startup",
        "lifespan.shutdown",
        "websocket.connect",
        "websocket.receive",
        "websocket.disconnect",
    }
)
#: The last message of its protocol.
LAST_TYPES = frozenset({"http.disconnect", "websocket.disconnect"})

#: Handler name → whether it is a coroutine function.
HandlerTable = Mapping[str, bool]


def get_handler_name(message: Mapping[str, Any]) -> str:
    """The name of the method that handles a message: its ``type`` with "_" for ".".

    :raises ValueError: there is no type, or the name would begin with an underscore.
    """
    if "type" not in message:
        raise ValueError("Incoming message has no 'type' attribute")
    name = method_name(message["type"])
    if name.startswith("_"):
        raise ValueError("Malformed type in message (leading underscore)")
    return name


@functools.lru_cache(maxsize=1024)
def method_name(kind: str) -> str:
    """A ``type`` with "_" for ".".

    The same object for the same type: the interpreter remembers attributes that were looked up by
    the identity of their name, and keeps some thousand names that do not come again.
    """
    return sys.intern(kind.replace(".", "_"))


def handlers_of(cls: type) -> HandlerTable:
    """Every public method of a class. Made once, when the class is."""
    table: dict[str, bool] = {}
    for name in dir(cls):
        if name.startswith("_"):
            continue
        found = inspect.getattr_static(cls, name)
        if isinstance(found, staticmethod | classmethod):
            found = found.__func__
        if callable(found) and not inspect.isclass(found):
            table[name] = inspect.iscoroutinefunction(found)
    return table
