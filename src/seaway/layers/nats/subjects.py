"""The names that the engine uses at the server: subjects and streams.

What lives here: one function per kind of subject; docs/reference/layer-wire.md lists them.
What must not: what is stored there.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

#: What would end a token or be a wildcard in it, and the escape itself.
_RESERVED = re.compile(r"[.*>%]")
_NOT_IN_STREAM_NAMES = re.compile(r"[^A-Za-z0-9-]")


def token(name: str) -> str:
    """A name as one token of a subject."""
    if _RESERVED.search(name) is None:
        return name
    return _RESERVED.sub(lambda found: f"%{ord(found[0]):02X}", name)


def name(token: str) -> str:
    """The name that became a token."""
    return unquote(token) if "%" in token else token


class Subjects(NamedTuple):
    """All subjects of one namespace."""

    root: str

    # Topics
    def topic(self, topic: str) -> str:
        return f"{self.root}.t.{token(topic)}"

    def anchor(self) -> str:
        """Holds what all epochs of the namespace begin with."""
        return f"{self.root}.anchor"

    def news(self, topic: str) -> str:
        """What is told of a topic, as it is stored: events and changes of presence."""
        return f"{self.root}.l.{token(topic)}.*"

    def once(self, topic: str, digest: str) -> str:
        """Where it is kept that something was published once."""
        return f"{self.root}.o.{topic if topic == '*' else token(topic)}.{digest}"

    # Presence
    def member(self, topic: str, member: str, person: str) -> str:
        who = f"p{token(person)}" if person else "-"
        return f"{self.root}.p.{token(topic)}.{token(member)}.{who}"

    def members(self, topic: str) -> str:
        return f"{self.root}.p.{token(topic)}.*.*"

    def everybody(self) -> str:
        return f"{self.root}.p.*.*.*"

    def process(self, process: str) -> str:
        """Signs of life."""
        return f"{self.root}.h.{process}"

    # Channels
    def message(self, channel: str, id_: str) -> str:
        return f"{self.root}.q.{token(channel)}.i.{id_}"

    def closed(self, channel: str) -> str:
        return f"{self.root}.q.{token(channel)}.c"

    def here(self, channel: str, process: str) -> str:
        """What a process stores to learn how far it has followed."""
        return f"{self.root}.q.{token(channel)}.y.{process}"

    def channel(self, channel: str) -> str:
        return f"{self.root}.q.{token(channel)}.>"

    def channels(self) -> str:
        return f"{self.root}.q.*.>"


class Streams(NamedTuple):
    """The streams of one namespace."""

    topics: str
    presence: str
    queues: str


def streams(namespace: str) -> Streams:
    stem = _NOT_IN_STREAM_NAMES.sub(lambda found: f"_{ord(found[0]):02X}", namespace)
    return Streams(f"{stem}_topics", f"{stem}_presence", f"{stem}_queues")
