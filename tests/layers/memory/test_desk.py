"""Who waits at channels, over random schedules: nobody is forgotten, and nothing is lost."""

from __future__ import annotations

import asyncio
import math
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seaway.layers.memory.desk import Desk
from seaway.layers.memory.layer import MemoryLayer
from seaway.layers.memory.queue_store import QueueStore
from seaway.layers.queues import Delivery
from seaway.testing.layer_contract import PATIENCE, started

CHANNEL = "c"

#: What happens next: somebody sends, receives, gives up, acknowledges, gives back, or time passes.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "receive", "receive", "cancel", "ack", "nack", "turn"]),
        st.integers(0, 7),
    ),
    max_size=60,
)


class Schedule:
    """One run: waiting senders and receivers, and what they got."""

    def __init__(self, layer: MemoryLayer) -> None:
        self.layer = layer
        self.sending: list[asyncio.Task[bytes]] = []
        self.receiving: list[asyncio.Task[None]] = []
        self.in_hand: list[Delivery] = []
        self.acknowledged: list[bytes] = []
        self.given_up: set[bytes] = set()
        self.count = 0

    async def send(self, capacity: int) -> bytes:
        self.count += 1
        data = b"%d" % self.count
        try:
            await self.layer.send(CHANNEL, data, capacity=capacity, wait=math.inf)
        except asyncio.CancelledError:
            self.given_up.add(data)  # whether it was sent is not known
            raise
        return data

    async def receive(self, limit: int) -> None:
        self.in_hand += await self.layer.receive(
            CHANNEL, limit=limit, wait=math.inf, lease=math.inf, tries=10**6
        )

    async def ack(self) -> None:
        delivery = self.in_hand.pop(0)
        assert await self.layer.ack(delivery)
        self.acknowledged.append(delivery.data)

    async def step(self, what: str, number: int) -> None:
        match what:
            case "send":
                self.sending.append(asyncio.create_task(self.send(1 + number % 3)))
            case "receive":
                self.receiving.append(asyncio.create_task(self.receive(1 + number % 2)))
            case "cancel" if waiting := [*self.sending, *self.receiving]:
                waiting[number % len(waiting)].cancel()
            case "ack" if self.in_hand:
                await self.ack()
            case "nack" if self.in_hand:
                assert await self.layer.nack(self.in_hand.pop(0))
            case "turn":
                for _ in range(number):
                    await asyncio.sleep(0)

    async def finish(self) -> list[bytes]:
        """Let every sender get in and take out everything; returns what was sent for certain."""
        while any(not task.done() for task in self.sending) or not await self.drained():
            if self.in_hand:
                await self.ack()
            else:
                found = await self.layer.receive(CHANNEL, limit=5, lease=math.inf)
                self.in_hand += found
                await asyncio.sleep(0)
        for task in self.receiving:
            task.cancel()
        await asyncio.gather(*self.receiving, return_exceptions=True)
        results = await asyncio.gather(*self.sending, return_exceptions=True)
        return [result for result in results if isinstance(result, bytes)]

    async def drained(self) -> bool:
        state = await self.layer.queue_state(CHANNEL)
        return state.waiting == 0 and not self.in_hand and state.held == 0


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_nobody_waits_in_vain_and_nothing_is_lost(steps: list[tuple[str, int]]) -> None:
    async def run() -> None:
        desk = Desk(QueueStore())
        process = await started(MemoryLayer(desk=desk))
        assert isinstance(process.layer, MemoryLayer)
        schedule = Schedule(process.layer)
        async with asyncio.timeout(PATIENCE):
            for what, number in steps:
                await schedule.step(what, number)
            sent = await schedule.finish()
        counts = Counter(schedule.acknowledged)
        assert set(counts.values()) <= {1}
        assert set(sent) <= set(counts)
        assert set(counts) <= set(sent) | schedule.given_up
        assert len(desk) == 0
        await process.layer.close()

    asyncio.run(run())


async def test_who_waits_for_a_message_is_woken_without_being_asked_again() -> None:
    asked = 0

    class Counting(QueueStore):
        def receive(self, *args: object, **options: object) -> list[Delivery]:
            nonlocal asked
            asked += 1
            return super().receive(*args, **options)  # type: ignore[arg-type]  # as it came

    store = Counting()
    process = await started(MemoryLayer(desk=Desk(store)))
    waiting = asyncio.create_task(process.layer.receive(CHANNEL, wait=math.inf))
    await asyncio.sleep(0.3)
    assert asked == 1
    await process.layer.send(CHANNEL, b"x", delay=0.05)
    assert [delivery.data for delivery in await waiting] == [b"x"]
    assert asked <= 5
    await process.layer.close()
