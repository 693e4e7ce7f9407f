"""Members that come and go as fast as they can, in several processes, while messages are sent."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from seaway.layers.channels.layer import ChannelLayer
from tests.layers.channels.support import processes

GROUPS = ("red", "blue")
MESSAGES = 150


class Sender:
    """Numbers its messages, and knows which of them have been sent for sure."""

    def __init__(self, layer: ChannelLayer, name: int) -> None:
        self.layer = layer
        self.name = name
        self.begun = 0
        self.done = 0

    async def run(self, chance: random.Random) -> None:
        for number in range(MESSAGES):
            self.begun = number + 1
            group = GROUPS[number % len(GROUPS)]
            await self.layer.group_send(group, {"from": self.name, "n": number})
            self.done = number + 1
            if chance.random() < 0.5:
                await asyncio.sleep(0)


class Member:
    """Joins one group, stays for a while, leaves; and looks at what it got."""

    def __init__(self, layer: ChannelLayer, senders: list[Sender]) -> None:
        self.layer = layer
        self.senders = senders

    async def run(self, chance: random.Random) -> int:
        stays = 0
        while any(sender.done < MESSAGES for sender in self.senders):
            colour = chance.randrange(len(GROUPS))
            await self.stay(colour, chance)
            stays += 1
        return stays

    async def stay(self, colour: int, chance: random.Random) -> None:
        got: list[dict[str, Any]] = []
        channel = await self.layer.new_channel()
        self.layer.subscribe(channel, got.append)
        before = [sender.done for sender in self.senders]
        await self.layer.group_add(GROUPS[colour], channel)
        first = [sender.begun for sender in self.senders]
        for _ in range(chance.randrange(30)):
            await asyncio.sleep(0)
        last = [sender.done for sender in self.senders]
        await asyncio.sleep(0.01)  # those of other processes are on their way
        await self.layer.group_discard(GROUPS[colour], channel)
        self.layer.unsubscribe(channel)
        for sender in self.senders:
            numbers = [message["n"] for message in got if message["from"] == sender.name]
            assert numbers == sorted(set(numbers)), "twice, or out of order"
            assert all(number % len(GROUPS) == colour for number in numbers), "of another group"
            if sender.layer is self.layer:  # others' may still be on their way to this process
                early = [number for number in numbers if number < before[sender.name]]
                assert not early, "sent before it came"
            due = range(first[sender.name], last[sender.name])
            lost = {number for number in due if number % len(GROUPS) == colour} - set(numbers)
            assert not lost, "sent while it was a member, and not received"


@pytest.mark.parametrize("seed", range(5))
async def test_who_is_a_member_gets_everything_once_and_in_order(seed: int) -> None:
    chance = random.Random(seed)
    async with processes() as found:
        layers = [await found.start() for _ in range(3)]
        senders = [Sender(layer, name) for name, layer in enumerate(layers)]
        people = [Member(layer, senders) for layer in layers for _ in range(4)]
        async with asyncio.TaskGroup() as group:
            for sender in senders:
                group.create_task(sender.run(random.Random(chance.random())))
            stays = [
                group.create_task(member.run(random.Random(chance.random()))) for member in people
            ]
        assert sum(stay.result() for stay in stays) >= len(people)
        for layer in layers:
            statistics = await layer.statistics()
            assert (statistics["gaps"], statistics["undelivered"]) == (0, 0)
            assert (statistics["groups"], statistics["channels"]) == (0, 0)
            assert not layer._inboxes.all()
