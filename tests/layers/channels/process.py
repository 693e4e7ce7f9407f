"""A process with a channel layer, for tests with several real ones. Run by `test_real_processes`.

Reads one command a line, answers one JSON value a line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from seaway.layers.channels.layer import ChannelLayer
from seaway.layers.home import LayerHome
from seaway.layers.local.client import LocalLayer
from seaway.layers.local.place import Place


def make() -> LocalLayer:
    layer = LocalLayer(Place(Path(sys.argv[1])), linger=0.5)
    layer.timeout = 30
    return layer


def keep(got: list[Any], message: dict[str, Any]) -> None:
    got.append(message.get("n", "gap"))


class Members:
    """Some members of a group, and what they got."""

    def __init__(self, layer: ChannelLayer) -> None:
        self.layer = layer
        self.channels: list[str] = []
        self.got: list[list[Any]] = []

    async def join(self, group: str, number: int) -> list[str]:
        for _ in range(number):
            channel = await self.layer.new_channel()
            got: list[Any] = []
            self.layer.subscribe(channel, partial(keep, got))
            await self.layer.group_add(group, channel)
            self.channels.append(channel)
            self.got.append(got)
        return self.channels

    async def received(self, number: int) -> list[list[Any]]:
        """What each has got, once each has got so many."""
        async with asyncio.timeout(30):
            while any(len(got) < number for got in self.got):  # noqa: ASYNC110  `got` has no event
                await asyncio.sleep(0.005)
        return self.got


async def main() -> None:
    home = LayerHome(make)
    await home.adopt()
    layer = ChannelLayer(lambda: home, on_gap="gap")
    members = Members(layer)
    commands = {"join": members.join, "received": members.received, "statistics": layer.statistics}
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, *arguments = json.loads(line)
        method: Any = commands.get(name) or getattr(layer, name)
        print(json.dumps(await method(*arguments)), flush=True)  # noqa: T201  its answer
    await layer.close()
    await home.release()


if __name__ == "__main__":
    asyncio.run(main())
