"""The topics that the connection's tests join."""

import asyncio
from typing import Any, ClassVar

from seaway import ActionError, History, Topic, action


class Room(Topic):
    """Everything that a topic can have."""

    route = "rooms/<slug:room>"
    history = History(size=50, seconds=60)
    presence = True
    gone: ClassVar[list[str]] = []

    async def join(self, room: str) -> dict[str, Any]:
        if room == "closed":
            raise ActionError("The room is closed.", code="closed", data={"room": room})
        self.room = room
        return {"room": room}

    def leave(self) -> None:
        Room.gone.append(f"{self.room}:{self.connection}")

    def member(self) -> dict[str, Any]:
        return {"name": str(self.user) or "somebody"}

    @action
    async def say(self, text: str) -> int:
        position = await self.apublish("said", {"text": text})
        assert position is not None
        return position.offset

    @action
    def count(self, to: int) -> list[int]:
        return list(range(1, to + 1))


class Gate(Topic):
    """Its join and its action wait until the test opens the gate."""

    route = "gates/<int:number>"
    opened: ClassVar[asyncio.Event]
    begun: ClassVar[int] = 0
    finished: ClassVar[int] = 0
    left: ClassVar[int] = 0

    async def join(self, number: int) -> int:
        if number == 0:
            await Gate.opened.wait()
        return number

    @action
    async def wait(self) -> int:
        Gate.begun += 1
        await Gate.opened.wait()
        Gate.finished += 1
        return Gate.finished

    def leave(self) -> None:
        Gate.left += 1


class Plain(Topic):
    """Neither history nor presence."""

    route = "plain/<int:number>"

    def join(self, number: int) -> None:
        """Everybody may."""
