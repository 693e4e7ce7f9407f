"""The memory engine against the contract: several layers on one store act as several processes."""

import asyncio
import logging

import pytest

from seaway.layers.base import PresenceChange, Publication
from seaway.layers.memory.desk import Desk
from seaway.layers.memory.layer import MemoryLayer
from seaway.layers.memory.queue_store import QueueStore
from seaway.layers.memory.store import Store
from seaway.testing.layer_contract import TOPIC, LayerContract, Process, Recorder, started
from tests.layers.clock import Clock


class TestMemoryLayer(LayerContract):
    @pytest.fixture(autouse=True)
    def one_store(self) -> None:
        self.clock = Clock()
        self.store: Store[MemoryLayer] = Store(self.clock)
        self.desk = Desk(QueueStore())

    async def make_layers(self, count: int) -> list[Process]:
        return [await started(MemoryLayer(self.store, self.desk)) for _ in range(count)]

    async def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        await asyncio.sleep(seconds)  # the clock of the queues goes by itself


class Clumsy(Recorder):
    """A receiver that fails at everything."""

    def published(self, topic: str, publication: Publication) -> None:
        raise ZeroDivisionError

    def presence_changed(self, topic: str, change: PresenceChange) -> None:
        raise ZeroDivisionError


async def test_layers_without_a_common_store_know_nothing_of_each_other() -> None:
    one, other = await started(MemoryLayer()), await started(MemoryLayer())
    await other.layer.watch(TOPIC)
    await one.layer.publish(TOPIC, b"x")
    assert other.heard.publications == []
    assert (await other.layer.position(TOPIC)).offset == 0
    await one.layer.close()
    await other.layer.close()


async def test_a_receiver_that_fails_harms_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    store: Store[MemoryLayer] = Store()
    clumsy = MemoryLayer(store)
    await clumsy.start(Clumsy())
    sound = await started(MemoryLayer(store))
    await clumsy.watch(TOPIC)
    await sound.layer.watch(TOPIC)

    with caplog.at_level(logging.ERROR):
        await clumsy.publish(TOPIC, b"x")
        await clumsy.enter(TOPIC, "ann", b"A")

    assert sound.heard.data() == [b"x"]
    assert sound.heard.present() == {"ann": b"A"}
    assert len(caplog.records) == 2
    await clumsy.close()
    await sound.layer.close()
