"""The Lua scripts, read once.

What lives here: `Script`, and each of them by its name. What must not: calling one.

A script that begins with ``-- uses: NAME`` has that file before it, and every one has ``common``;
before them all is the line that says whether it runs while the server's memory is full.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import NamedTuple

_USES = re.compile(r"\A-- uses: ([a-z]+)\n")

NAMES = (
    "publish", "position", "read",
    "enter", "leave", "sweep", "members", "headcount",
    "renew", "claim", "disclaim", "bury",
    "send", "receive", "ack", "nack", "extend", "close", "state", "purge", "dead_letters",
    "exhume", "channels",
)  # fmt: skip

#: What is refused, as a whole, when the server's memory is full. Everything else goes on, since it
#: makes room or keeps the lease of those who are there.
_GROWING = {"publish", "enter", "claim", "send", "channels"}


class Script(NamedTuple):
    """One operation: its text, and the SHA-1 by which the engine knows it."""

    name: str
    text: bytes
    sha: bytes


def _read(name: str) -> str:
    return (files("seaway.layers.redis") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


def _load(name: str) -> Script:
    body = _read(name)
    found = _USES.match(body)
    prelude = found[1] if found else "common"
    parts = ["common"] if prelude == "common" else ["common", prelude]
    flags = "" if name in _GROWING else " flags=allow-oom"
    text = "\n".join([f"#!lua{flags}", *map(_read, parts), body]).encode()
    # The engine's own name for a script; nothing is secured by it.
    sha = hashlib.sha1(text, usedforsecurity=False).hexdigest()
    return Script(name, text, sha.encode())


#: Every script by its name.
SCRIPTS = {name: _load(name) for name in NAMES}
