"""What the tests of the layer contract share: processes, what they hear, and waiting for it.

What lives here: `Contract`, the root of all parts of `seaway.testing.layer_contract`, and the
`Recorder` that hears what a layer tells. What must not: the tests.
"""
# ruff: noqa: S101  asserts are what a test suite consists of

from __future__ import annotations

import abc
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest_asyncio

from seaway.layers.base import Gap, History, Layer, Page, Position, PresenceChange, Publication

T = TypeVar("T")

TOPIC = "halls/1/seats"
KEPT = History(size=100, seconds=600)
#: Seconds after which something that should have happened is taken not to happen.
PATIENCE = 15.0


class Recorder:
    """A receiver that keeps what it hears, and lets a test wait for it."""

    def __init__(self) -> None:
        self.publications: list[tuple[str, Publication]] = []
        self.changes: list[tuple[str, PresenceChange]] = []
        self.restorations: list[tuple[str, Position]] = []
        self._news = asyncio.Event()

    def published(self, topic: str, publication: Publication) -> None:
        self.publications.append((topic, publication))
        self._news.set()

    def presence_changed(self, topic: str, change: PresenceChange) -> None:
        self.changes.append((topic, change))
        self._news.set()

    def restored(self, topic: str, position: Position) -> None:
        self.restorations.append((topic, position))
        self._news.set()

    def data(self, topic: str = TOPIC) -> list[bytes]:
        """What was published on a topic, as far as it was heard, in order."""
        return [publication.data for name, publication in self.publications if name == topic]

    def positions(self, topic: str = TOPIC) -> list[Position]:
        return [publication.position for name, publication in self.publications if name == topic]

    def present(self, topic: str = TOPIC) -> dict[str, bytes]:
        """The members that all changes heard so far add up to."""
        members: dict[str, bytes] = {}
        for name, change in self.changes:
            if name == topic:
                members.update(change.entered)
                for member in change.left:
                    members.pop(member, None)
        return members

    async def until_present(self, members: dict[str, bytes], topic: str = TOPIC) -> None:
        """Wait until the changes heard add up to exactly these members."""
        await self.until(lambda: self.present(topic) == members)

    async def until_count(self, count: int, topic: str = TOPIC) -> None:
        """Wait until so many events of a topic were heard."""
        await self.until(lambda: len(self.data(topic)) >= count)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was heard fulfils a condition."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            heard = f"{self.publications[-5:]} {self.changes[-5:]} {self.restorations[-5:]}"
            raise AssertionError(f"waited in vain; heard last: {heard}") from None


@dataclass(frozen=True, slots=True)
class Process:
    """What stands for one process: a started layer, and what it told its receiver."""

    layer: Layer
    heard: Recorder


#: What the fixture ``start`` gives: makes so many processes on one engine.
Start = Callable[[int], Awaitable[list[Process]]]


async def started(layer: Layer) -> Process:
    """Start a layer with a recorder."""
    recorder = Recorder()
    await layer.start(recorder)
    return Process(layer, recorder)


async def eventually(ask: Callable[[], Awaitable[T]], wanted: Callable[[T], bool]) -> T:
    """Ask again until the answer is the wanted one."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while True:
        answer = await ask()
        if wanted(answer):
            return answer
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"asked in vain; the last answer was {answer!r}")
        await asyncio.sleep(0.02)


def page(answer: Page | Gap) -> Page:
    """The answer to a read, known to be a page."""
    assert isinstance(answer, Page), answer
    return answer


class Contract(abc.ABC):
    """The engine under test, and the fixture ``start`` that makes processes on it."""

    @abc.abstractmethod
    async def make_layers(self, count: int) -> list[Process]:
        """Started layers of ``count`` different processes on one engine that nobody else uses."""

    async def pass_time(self, seconds: float) -> None:
        """Let the engine's clock go on. Override it where the engine's clock is injected."""
        await asyncio.sleep(seconds)

    @pytest_asyncio.fixture
    async def start(self) -> AsyncIterator[Start]:
        processes: list[Process] = []

        async def start(count: int) -> list[Process]:
            made = await self.make_layers(count)
            processes.extend(made)
            return made

        yield start
        for process in processes:
            await process.layer.close()
