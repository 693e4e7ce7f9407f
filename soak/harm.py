"""The processes around an engine's soak, and what is done to them.

What lives here: publishers, workers and visitors, killed, cut off and hurried.
What must not: what is done to the engine (`drivers`), or the account (`engine`).
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from functools import partial

from seaway.conf import place
from soak.drivers.base import Driver, Fault
from soak.network import Network
from soak.processes import Child

BURST = 10_000
#: Messages that a worker has in hand when it is killed.
HELD = 100
#: Seconds for a worker to get so many, and for visitors to find each other at last.
_PATIENCE = 60.0
#: Numbers of a publisher's life: no two share one.
_LIFE = 10**9


class Harm:
    """Two publishers, one of which can be cut off, and two workers.

    :param rate: events a second of both publishers; ``tasks`` messages a second.
    :param seconds: for which visitors come and go, and the network is cut, if need be longer.
    :param heard: gets each line that one of the processes writes.
    """

    def __init__(
        self,
        driver: Driver,
        network: Network,
        topics: Sequence[str],
        rate: float,
        tasks: float,
        seconds: float,
        heard: Callable[[str], None],
    ) -> None:
        self._seconds = seconds
        self._driver = driver
        self._topics = ",".join(topics)
        self._pace = ("--rate", str(rate / 2), "--tasks", str(tasks / 2))
        self._heard = heard
        self._lives = itertools.count(1)
        self._network = network
        self._publishers: list[Child] = []
        self._workers: list[Child] = []
        self._all: list[Child] = []

    async def start(self) -> None:
        self._publishers = [self._publisher(number) for number in range(2)]
        self._workers = [self._child("soak.taker") for _ in range(2)]
        for child in (*self._publishers, *self._workers):
            await child.start()

    async def stop_publishing(self) -> None:
        for child in self._publishers:
            await child.kill()

    async def stop(self) -> None:
        for child in self._all:
            await child.kill()

    @property
    def troubles(self) -> list[str]:
        """What the processes have written to their standard errors."""
        return [line for child in self._all for line in child.troubles]

    def faults(self) -> dict[str, Fault]:
        """By name, in the order in which they are to be done."""
        return {
            "kill_worker": self._kill_worker,
            "kill_publisher": self._kill_publisher,
            **{f"cut_{name}": partial(self._cut, name) for name in self._driver.ways},
            **{f"engine_{name}": fault for name, fault in self._driver.faults.items()},
            "visitors": self._visit,
            "burst": self._burst,
        }

    # What is done --------------------------------------------------------------------------------

    async def _kill_publisher(self) -> None:
        victim = random.randrange(len(self._publishers))
        await self._publishers[victim].kill()
        self._publishers[victim] = self._publisher(victim)
        await self._publishers[victim].start()

    async def _kill_worker(self) -> None:
        """One that has its hands full, with all that it has done nothing of."""
        full = asyncio.Event()

        def heard(line: str) -> None:
            full.set() if line == "H" else self._heard(line)

        worker = self._child("soak.taker", "--hold", str(HELD), heard=heard)
        await worker.start()
        async with asyncio.timeout(_PATIENCE):
            await full.wait()
        await worker.kill()
        victim = random.choice(self._workers)
        await victim.kill()
        await victim.start()

    async def _cut(self, name: str) -> None:
        seconds = self._seconds * self._network.patience
        await asyncio.gather(*(way.cut(seconds) for way in self._driver.ways[name]))

    async def _visit(self) -> None:
        names = ("ada", "bob")
        options = (
            *("--topics", self._topics, "--seconds", str(self._seconds)),
            *("--names", ",".join(names), "--name"),
        )
        visitors = [self._child("soak.visitor", *options, name) for name in names]
        for child in visitors:
            await child.start()
        async with asyncio.timeout(self._seconds + _PATIENCE):
            await asyncio.gather(*(child.end() for child in visitors))

    async def _burst(self) -> None:
        child = self._publisher(0, "--burst", str(BURST))
        await child.start()
        await child.end()

    # The processes -------------------------------------------------------------------------------

    def _publisher(self, number: int, *more: str) -> Child:
        """:param number: 1: the one that can be cut off."""
        first = str(next(self._lives) * _LIFE)
        options = ("--topics", self._topics, "--first", first, *self._pace, *more)
        if not number:
            return self._child("soak.publisher", *options)
        url, command = self._driver.publisher_url, self._network.publisher_command
        return self._child("soak.publisher", *options, url=url, command=command)

    def _child(
        self,
        module: str,
        *options: str,
        url: str = "",
        heard: Callable[[str], None] | None = None,
        command: Sequence[str] = (),
    ) -> Child:
        arguments = (url or self._driver.url, "--place", place(), *options)
        child = Child(module, *arguments, on_line=heard or self._heard, command=command)
        self._all.append(child)
        return child
