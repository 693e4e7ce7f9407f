"""Topics with everything that a transport has to carry."""

import asyncio
import os
from typing import Any, ClassVar

from seaway import ActionError, History, Topic, action


class Room(Topic):
    """Members see each other; one room is for those who have told their name."""

    route = "rooms/<slug:room>"
    history = History(size=200, seconds=300)
    presence = True
    said: ClassVar[int] = 0

    def join(self, room: str) -> dict[str, Any]:
        name = self.session.get("name") if self.session else None
        if room == "members" and name is None:
            raise ActionError("Tell your name first.", code="nameless", data={"room": room})
        return {"room": room, "name": name}

    def member(self) -> dict[str, Any]:
        return {"pid": os.getpid()}

    @action
    async def pid(self) -> int:
        return os.getpid()

    @action
    async def say(self, text: str) -> int:
        """How often this worker has been told to say something."""
        Room.said += 1
        await self.apublish("said", {"text": text})
        return Room.said

    @action
    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @action
    async def echo(self, text: str) -> str:
        return text


class Feed(Topic):
    """For everybody; keeps few events."""

    route = "feeds/<path:name>"
    history = History(size=5, seconds=300)

    def join(self, name: str) -> dict[str, Any]:
        return {"name": name, "pid": os.getpid()}


class Slow(Topic):
    """Takes its time to let somebody in."""

    route = "slow/<slug:name>"
    presence = True

    async def join(self, name: str) -> None:
        await asyncio.sleep(0.5)
