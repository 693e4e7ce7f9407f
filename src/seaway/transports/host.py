"""The ASGI server underneath: which one it is, and what topics lose there.

What lives here: recognising servers, and one line of the log that says what is missing.
What must not: code that does without it (`relay`).

Each claim was tried with the version that is named beside the server, and
tests/transports/test_other_servers.py tries them again.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("seaway.asgi")

OURS = "seaway"

#: What every server but our own lacks: the extension ``seaway.handoff``.
_EVERYWHERE = (
    "no handoff, so two tasks for each connection and every event framed for each",
    "nothing asks clients to come back over a time on a stop",
)
_NO_DEFLATE = "no permessage-deflate"
#: What servers lack beyond that.
_LOSSES: dict[str, tuple[str, ...]] = {
    "uvicorn": (),  # 0.54
    "hypercorn": (),  # 0.18
    "granian": (_NO_DEFLATE,),  # 2.8
    "daphne": (  # 4.2
        _NO_DEFLATE,
        "no back-pressure on send, so a slow client fills the server's memory",
        "no close reasons and no text of refused handshakes",
        "no lifespan, so the layer is reached at the first connection only",
        "no worker processes",
    ),
}


def name_of(receive: Any, send: Any) -> str:
    """Which server has made these two; empty if we do not know it."""
    modules = [module for each in (receive, send) for module in _modules(each)]
    known = {OURS, *_LOSSES}
    for module in modules:
        root = module.partition(".")[0].lstrip("_")
        if root in known:
            return root
    # Wrapped by some middleware, or made of nothing that has a name.
    loaded = [name for name in _LOSSES if name in sys.modules]
    return loaded[0] if len(loaded) == 1 else ""


def _modules(thing: Any) -> list[str]:
    """The modules that a callable, what it is bound to, and what it wraps, were defined in."""
    found = []
    while thing is not None:
        owner = getattr(thing, "__self__", None)
        for each in (thing, type(thing), type(owner)):
            module = getattr(each, "__module__", None)
            if isinstance(module, str):
                found.append(module)
        thing = getattr(thing, "func", None)
    return found


def losses(name: str) -> tuple[str, ...]:
    """What topics lose on a server, in words; nothing on our own."""
    return () if name == OURS else (*_EVERYWHERE, *_LOSSES.get(name, ()))


def say_what_is_lost(receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """One line of the log, unless the server is our own or unknown (a test's, most likely)."""
    name = name_of(receive, send)
    if name and name != OURS:
        text = "; ".join(losses(name))
        logger.warning("topics work under %s, with less than under seaway serve: %s", name, text)
