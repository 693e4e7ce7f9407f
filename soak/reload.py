"""Reload under load: SIGHUP with new code, again and again, while all that is asked is counted.

What lives here: the course of the soak and its account.
What must not: how a client behaves (`subscriber`, `requests`), the server's processes (`server`).

Events are published from two places: a process outside the server (this one), and requests to the
server itself, so that old workers publish while they leave. What was published is known by position
from the publishers, so what each subscriber should have is known as well.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django

from soak.requests import HttpClient, Tally, keep_asking
from soak.server import SoakServer
from soak.subscriber import Subscriber, cancelled

#: Clients of each of the two kinds; each asks about twice a second at the usual rate.
_CLIENTS = 50
#: Kept connections that are silent for long: they are closed while they wait.
_QUIET, _QUIET_PAUSE = 10, 2.0
#: Subscribers that connect at the same time.
_AT_ONCE = 25
#: Seconds for the last events to arrive; nobody is expected to need them.
_LAST_EVENTS = 60.0

#: What must be 0.
FAULTS = ("requests_failed", "events_lost", "duplicated", "reordered", "wrong")

Figures = dict[str, int | float]


@dataclass(frozen=True, slots=True)
class Settings:
    """Rates are per second, times in seconds."""

    seconds: float = 30.0
    subscribers: int = 500
    requests: float = 200.0
    events: float = 10.0
    every: float = 5.0
    workers: int = 2
    window: float = 5.0


class Reload:
    """One run."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._tally = Tally()
        self._subscribers: list[Subscriber] = []
        #: Offset to the data of each event that was published.
        self._published: dict[int, dict[str, Any]] = {}
        self._versions: set[str] = set()

    async def run(self) -> Figures:
        with tempfile.TemporaryDirectory(prefix="soak") as folder:
            os.environ["SOAK_FOLDER"] = folder
            os.environ["DJANGO_SETTINGS_MODULE"] = "soak.project.settings"
            (Path(folder) / "version").write_text("0", encoding="utf-8")
            django.setup()
            server = SoakServer(
                Path(folder),
                f"--workers={self._settings.workers}",
                f"--reconnect-window={self._settings.window}",
            )
            try:
                await server.start()
                await self._load(server)
            finally:
                await server.stop()
        return self._figures(server)

    async def _load(self, server: SoakServer) -> None:
        url = f"ws://127.0.0.1:{server.port}/seaway/"
        followers = await self._connect_all(url)
        _say(f"{len(followers)} subscribers have joined")
        stop = asyncio.Event()
        work = [
            *self._askers(server.port, stop),
            self._publish_from_here(stop),
            self._publish_by_request(server.port, stop),
        ]
        load = [asyncio.create_task(each) for each in work]
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settings.seconds
        while loop.time() < until:
            await asyncio.sleep(min(self._settings.every, max(0.0, until - loop.time())))
            if loop.time() < until:
                await server.reload()
                _say(f"reload {server.generation}: {self._tally.requests} requests so far")
        stop.set()
        await asyncio.gather(*load)
        await self._wait_for_the_last(max(self._published, default=0))
        await cancelled(followers)

    async def _connect_all(self, url: str) -> list[asyncio.Task[None]]:
        followers = []
        for number in range(self._settings.subscribers):
            subscriber = Subscriber(url, "feed")
            self._subscribers.append(subscriber)
            followers.append(asyncio.create_task(subscriber.follow()))
            if number % _AT_ONCE == _AT_ONCE - 1:
                await subscriber.joined.wait()
        for subscriber in self._subscribers:
            await subscriber.joined.wait()
        return followers

    def _askers(self, port: int, stop: asyncio.Event) -> list[Any]:
        """The quiet ones come on top of the rate."""

        def asker(keep: bool, pause: float) -> Any:
            return keep_asking(
                port, self._tally, keep=keep, pause=pause, stop=stop, versions=self._versions
            )

        pause = 2 * _CLIENTS / self._settings.requests
        usual = [asker(keep, pause) for keep in (True, False) for _ in range(_CLIENTS)]
        return usual + [asker(True, _QUIET_PAUSE) for _ in range(_QUIET)]

    async def _publish_from_here(self, stop: asyncio.Event) -> None:
        from seaway.conf import layer_home
        from soak.project.topics import Feed

        number = 0
        try:
            while not stop.is_set():
                await asyncio.sleep(2 / self._settings.events)
                data = {"source": "outside", "number": number}
                position = await Feed.at().apublish("tick", data)
                assert position is not None  # noqa: S101 - no transaction is open
                self._published[position.offset] = data
                number += 1
        finally:
            layer_home().close()

    async def _publish_by_request(self, port: int, stop: asyncio.Event) -> None:
        client, number = HttpClient(port, self._tally, keep=True), 0
        try:
            while not stop.is_set():
                await asyncio.sleep(2 / self._settings.events)
                answer = await client.request("POST", f"/publish/inside/{number}")
                if answer is not None:
                    offset = int(answer.split()[1])
                    self._published[offset] = {"source": "inside", "number": number}
                number += 1
        finally:
            await client.close()

    async def _wait_for_the_last(self, offset: int) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _LAST_EVENTS
        for subscriber in self._subscribers:
            while subscriber.offset < offset and loop.time() < until:
                await asyncio.sleep(0.05)

    # The account ---------------------------------------------------------------------------------

    def _figures(self, server: SoakServer) -> Figures:
        tally, accounts = self._tally, [each.account for each in self._subscribers]
        for reason in tally.reasons[:20]:
            _say(f"failed: {reason}")
        for line in [line for line in server.log if " ERROR " in line or "Traceback" in line][:20]:
            _say(f"log: {line}")
        away = sorted(seconds for account in accounts for seconds in account.away)
        return {
            "requests": tally.requests,
            "requests_failed": tally.failed,
            "events_published": len(self._published),
            "deliveries": sum(len(account.events) for account in accounts),
            "events_lost": self._lost(),
            "duplicated": sum(account.duplicated for account in accounts),
            "reordered": sum(account.reordered for account in accounts),
            "wrong": self._wrong(),
            "gaps_told": sum(account.gaps for account in accounts),
            "reloads": server.generation,
            "versions_served": len(self._versions),
            "reconnects": sum(account.connects - 1 for account in accounts),
            "failed_connects": sum(account.failed_connects for account in accounts),
            "away_p50": round(away[len(away) // 2], 2) if away else 0.0,
            "away_most": round(away[-1], 2) if away else 0.0,
            "slowest_request": round(tally.slowest, 2),
            "http_connections": tally.new_connections,
        }

    def _lost(self) -> int:
        """Events that a subscriber should have, has not, and was not told about."""
        lost = 0
        for subscriber in self._subscribers:
            account = subscriber.account
            if account.started is None:
                lost += len(self._published)
                continue
            due = {offset for offset in self._published if offset > account.started[1]}
            lost += len(due - account.events.keys() - account.excused)
        return lost

    def _wrong(self) -> int:
        """Deliveries that say something else than was published at their position."""
        published = self._published
        return sum(
            offset in published and data != published[offset]
            for subscriber in self._subscribers
            for offset, data in subscriber.account.events.items()
        )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
