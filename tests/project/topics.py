"""The topics of the small project."""

import asyncio
import os
from pathlib import Path

from seaway import History, Topic, action


class Stream(Topic):
    """Keeps a long history."""

    route = "streams/<slug:name>"
    history = History(size=20_000, seconds=600)

    async def join(self, name: str) -> dict[str, int]:
        return {"pid": os.getpid()}

    @action
    async def flood(self, count: int, size: int) -> None:
        """Publish ``count`` events of ``size`` characters."""
        for first in range(0, count, 100):
            numbers = range(first, min(first + 100, count))
            await asyncio.gather(*(self.apublish("n", [n, "x" * size]) for n in numbers))

    @action
    async def unencodable(self) -> None:
        await self.apublish("thing", object())


class Fleeting(Topic):
    """Keeps nothing."""

    route = "fleeting/<slug:name>"

    async def join(self, name: str) -> None:
        """Everybody may."""

    @action
    async def flood(self, count: int, size: int) -> None:
        for number in range(count):
            await self.apublish("n", [number, "x" * size])


class Closed(Topic):
    """Nobody may join: it says nothing about who might."""

    route = "closed"


class Members(Topic):
    """For users only."""

    route = "members"

    def join(self) -> str:
        from django.core.exceptions import PermissionDenied

        if not self.user.is_authenticated:
            raise PermissionDenied
        return str(self.user)


class Crowd(Topic):
    """Knows who is there."""

    route = "crowd"
    presence = True

    async def join(self) -> int:
        return os.getpid()


class Desk(Topic):
    """Sells tickets, and writes down that it did."""

    route = "desks/<slug:name>"

    async def join(self, name: str) -> int:
        return os.getpid()

    @action(once=True)
    async def sell(self, ticket: str, seconds: float = 0.0) -> int:
        with (Path(os.environ["TEST_PROJECT_FOLDER"]) / "sold").open("a", encoding="utf-8") as sold:
            sold.write(f"{ticket}\n")
        await asyncio.sleep(seconds)
        return os.getpid()
