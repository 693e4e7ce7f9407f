"""An engine under faults: publishers, subscribers and workers, while it is killed and stopped.

What lives here: the course of the soak and its figures.
What must not: what is done to one engine (`drivers`) and to the processes around it (`harm`), or
how a subscriber's account is read (`segments`).

Counted is what clients see: WebSocket subscribers of a real server with two workers, which reach
the engine as any project's would; publishers and task workers are processes of their own.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from soak.drivers import make_driver
from soak.drivers.base import Driver
from soak.follower import Follower, cancel_all
from soak.harm import Harm
from soak.network import Network, make_network
from soak.segments import Ledger
from soak.server import SoakServer

TOPICS = ("feed/0", "feed/1", "feed/2", "feed/3")
#: Seconds for the last events and messages to arrive.
_LAST = 90.0
#: What must be 0.
FAULTS = ("lost_silently", "duplicated", "reordered", "tasks_lost", "members_wrong")

Figures = dict[str, int | float | dict[str, int]]


@dataclass(frozen=True, slots=True)
class Settings:
    """``rate`` is events a second of all publishers, ``pause`` the seconds of a SIGSTOP, ``calm``
    those between the end of one fault and the next; ``network``: see `soak.network`."""

    engine: str = "local"
    seconds: float = 60.0
    subscribers: int = 400
    rate: float = 240.0
    tasks: float = 100.0
    pause: float = 20.0
    calm: float = 3.0
    network: str = "auto"


class EngineSoak:
    """One run."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledgers = {topic: Ledger() for topic in TOPICS}
        self._sent: set[int] = set()
        self._done: Counter[int] = Counter()
        self._unconfirmed: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._followers: list[tuple[str, Follower]] = []
        self._visits: Counter[str] = Counter()
        self._told_full = 0

    async def run(self) -> Figures:
        with tempfile.TemporaryDirectory(prefix="soak") as folder:
            os.environ["SOAK_FOLDER"] = folder
            os.environ["DJANGO_SETTINGS_MODULE"] = "soak.project.settings"
            settings = self._settings
            network, line = make_network(settings.engine, settings.network)
            _say(line)
            try:
                server = SoakServer(
                    Path(folder), "--workers=2", "--reconnect-window=1",
                    host=network.server_host, command=network.server_command,
                )  # fmt: skip
                driver = make_driver(settings.engine, Path(folder), settings.pause, network)
                await self._run(server, driver, network)
            finally:
                await network.close()
            for line in _troubles(server.log):
                _say(f"server: {line}")
        return self._figures()

    async def _run(self, server: SoakServer, driver: Driver, network: Network) -> None:
        try:
            await driver.start()
            os.environ["SOAK_LAYER"] = driver.server_url
            try:
                await server.start()
                await self._load(server, driver, network)
            finally:
                await server.stop()
        finally:
            await driver.stop()

    # The course ----------------------------------------------------------------------------------

    async def _load(self, server: SoakServer, driver: Driver, network: Network) -> None:
        settings = self._settings
        follows = await self._follow(server)
        _say(f"{len(follows)} subscribers have joined")
        harm = Harm(
            driver, network, TOPICS, settings.rate, settings.tasks, settings.calm, self._heard
        )
        try:
            await harm.start()
            await self._disturb(harm, driver)
            await harm.stop_publishing()
            await self._wait_for_the_last()
        finally:
            await harm.stop()
            await cancel_all(follows)
            for line in harm.troubles[:10]:
                _say(f"process: {line}")

    async def _follow(self, server: SoakServer) -> list[asyncio.Task[None]]:
        tasks = []
        for number in range(self._settings.subscribers):
            topic = TOPICS[number % len(TOPICS)]
            follower = Follower(server.host, server.port, topic)
            self._followers.append((topic, follower))
            tasks.append(asyncio.create_task(follower.follow()))
            if number % 25 == 24:
                await follower.joined.wait()
        for _, follower in self._followers:
            await asyncio.wait_for(follower.joined.wait(), _LAST)
        return tasks

    async def _disturb(self, harm: Harm, driver: Driver) -> None:
        """One fault after the other, the engine's own and ours, until the time is up."""
        faults = harm.faults()
        titles = {
            f"cut_{name}": f"network cut ({ways[0].kind}): {name}"
            for name, ways in driver.ways.items()
        }
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settings.seconds
        await asyncio.sleep(self._settings.calm)
        while loop.time() < until:
            for name, fault in faults.items():
                before = sum(self._unconfirmed.values())
                await fault()
                self._faults[titles.get(name, name)] += 1
                if name == "engine_full":
                    self._told_full += sum(self._unconfirmed.values()) - before
                _say(f"{name}: {sum(f.seen.deliveries for _, f in self._followers):,} deliveries")
                await asyncio.sleep(self._settings.calm)
                if loop.time() >= until and len(self._faults) == len(faults):
                    return

    def _heard(self, line: str) -> None:
        kind, _, rest = line.partition(" ")
        if kind == "E":
            topic, epoch, offset, number = rest.split()
            self._ledgers[topic].add(epoch, int(offset), int(number))
        elif kind == "Q":
            self._sent.add(int(rest))
        elif kind == "D":
            self._done[int(rest)] += 1
        elif kind == "V":
            for name, count in zip(
                ("joins", "holes", "repeats", "wrong"), rest.split(), strict=True
            ):
                self._visits[name] += int(count)
        else:
            self._unconfirmed[rest[:100]] += 1

    async def _wait_for_the_last(self) -> None:
        """Until nobody lacks anything, or long enough for whoever still does to be lost."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _LAST
        while loop.time() < until:
            lacking = sum(
                self._ledgers[topic].lacks(one.seen.position) for topic, one in self._followers
            )
            tasks = len(self._sent - self._done.keys())
            if not lacking and not tasks:
                return
            _say(f"waiting: {lacking} subscribers, {tasks} messages")
            await asyncio.sleep(1)

    # The account ---------------------------------------------------------------------------------

    def _figures(self) -> Figures:
        seen = [follower.seen for _, follower in self._followers]
        for reason, count in self._unconfirmed.most_common(8):
            _say(f"not confirmed {count} times: {reason}")
        refusals = Counter(text for _, one in self._followers for text in one.refusals)
        for reason, count in refusals.most_common(4):
            _say(f"refused {count} times: {reason}")
        lost = sum(self._ledgers[topic].missed(one.seen) for topic, one in self._followers)
        conflicts = sum(ledger.conflicts for ledger in self._ledgers.values())
        return {
            "deliveries": sum(one.deliveries for one in seen),
            "lost_silently": lost + conflicts + self._visits["holes"],
            "duplicated": sum(one.duplicated for one in seen) + self._visits["repeats"],
            "reordered": sum(one.reordered for one in seen),
            "gaps_told": sum(one.gaps for one in seen),
            "faults": dict(self._faults),
            "published": sum(
                len(events) for one in self._ledgers.values() for events in one.told.values()
            ),
            "not_confirmed": sum(self._unconfirmed.values()),
            "tasks_sent": len(self._sent),
            "tasks_lost": len(self._sent - self._done.keys()),
            "tasks_repeated": sum(count - 1 for count in self._done.values()),
            "members_wrong": self._visits["wrong"],
            "visits": self._visits["joins"],
            "told_full": self._told_full,
            "reconnects": sum(one.connects - 1 for _, one in self._followers),
        }


def _troubles(log: list[str]) -> list[str]:
    """The first traceback of a log, and the line before it that says what failed."""
    at = next((at for at, line in enumerate(log) if line.startswith("Traceback")), None)
    return [] if at is None else log[max(0, at - 1) : at + 40]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
