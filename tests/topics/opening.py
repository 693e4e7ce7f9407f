"""How the tests of memberships open one."""

from __future__ import annotations

from seaway.auth import Visitor
from seaway.topics.membership import Membership

STRANGER = Visitor()


def opened(name: str = "rooms/7", visitor: Visitor = STRANGER) -> Membership:
    return Membership.open(name, visitor, "c1")
