"""Does the layer work, and how fast: what ``seaway layer check`` says.

What lives here: `check_layer`: two connections to one engine that talk to each other as two
processes would, and what was found, in words.
What must not: the command line, or an engine.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from seaway.exceptions import ConfigurationError, LayerError
from seaway.layers.base import History, Layer, Position, PresenceChange, Publication
from seaway.layers.memory.layer import MemoryLayer

#: Events that are timed, and bytes of each.
EVENTS, SIZE = 200, 200
#: Seconds after which an event that should have arrived is said to be lost.
PATIENCE = 10.0


class Finding(msgspec.Struct, frozen=True):
    """One line: what was looked at, whether it is well, and what was seen."""

    what: str
    well: bool
    seen: str


class _Ear:
    """A receiver that hands over what it hears."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Publication] = asyncio.Queue()
        self.changes: asyncio.Queue[PresenceChange] = asyncio.Queue()

    def published(self, topic: str, publication: Publication) -> None:
        self.events.put_nowait(publication)

    def presence_changed(self, topic: str, change: PresenceChange) -> None:
        self.changes.put_nowait(change)

    def restored(self, topic: str, position: Position) -> None:
        """Nothing is repaired here: what is missing is what is to be found."""


class Trouble(LayerError):
    """The engine answered, but not as the contract says."""


async def check_layer(make: Callable[[], Layer], say: Callable[[Finding], object]) -> bool:
    """Look at everything that a layer does; whether all is well.

    :param make: makes the layer, as often as it is asked.
    :param say: takes each finding as it is made.
    """
    try:
        async with _two(make) as (here, there, ear):
            say(Finding("connect", True, here.describe()))
            if isinstance(here, MemoryLayer):
                say(Finding("reach", True, "It joins no processes: there is nothing to measure."))
                return True
            name = f"~check/{secrets.token_hex(6)}"
            for what, look in _LOOKS.items():
                say(Finding(what, True, await look(here, there, ear, name)))
    except (ConfigurationError, LayerError) as error:
        say(Finding("trouble", False, str(error)))
        return False
    except TimeoutError:
        say(Finding("trouble", False, f"What was sent did not arrive within {PATIENCE:g} s."))
        return False
    return True


@asynccontextmanager
async def _two(make: Callable[[], Layer]) -> AsyncIterator[tuple[Layer, Layer, _Ear]]:
    here, there, ear = make(), make(), _Ear()
    try:
        await here.start(_Ear())
        await there.start(ear)
        yield here, there, ear
    finally:
        await here.close()
        await there.close()


async def _look_at_streams(here: Layer, there: Layer, ear: _Ear, name: str) -> str:
    await there.watch(name)
    history = History(size=EVENTS, seconds=60.0)
    times: list[float] = []
    for number in range(EVENTS):
        began = time.perf_counter()
        position = await here.publish(name, bytes(SIZE), history)
        heard = await asyncio.wait_for(ear.events.get(), PATIENCE)
        times.append(time.perf_counter() - began)
        if heard.position != position:
            raise Trouble(f"Event {number + 1} arrived with {heard.position}, not {position}.")
    page = await there.read(name, Position(position.epoch, position.offset - EVENTS), EVENTS)
    kept = len(getattr(page, "publications", ()))
    if kept == 0:
        raise Trouble("The history of a topic cannot be read back.")
    await there.unwatch(name)
    return f"{EVENTS} events, published to received: {_spread(times)}"


async def _look_at_queues(here: Layer, there: Layer, ear: _Ear, name: str) -> str:
    times: list[float] = []
    for _ in range(EVENTS // 4):
        began = time.perf_counter()
        await here.send(name, bytes(SIZE), ttl=60.0)
        found = await there.receive(name, wait=PATIENCE)
        if not found or not await there.ack(found[0]):
            raise Trouble("A message that was sent was not received.")
        times.append(time.perf_counter() - began)
    return f"{len(times)} messages, sent to acknowledged: {_spread(times)}"


async def _look_at_presence(here: Layer, there: Layer, ear: _Ear, name: str) -> str:
    await there.watch(name)
    began = time.perf_counter()
    await here.enter(name, "check", b"{}")
    await asyncio.wait_for(ear.changes.get(), PATIENCE)
    seconds = time.perf_counter() - began
    if "check" not in await there.members(name):
        raise Trouble("A member that entered is not in the list of members.")
    await here.leave(name, "check")
    await there.unwatch(name)
    return f"a member that enters is seen after {seconds * 1000:.2f} ms"


_LOOKS = {"streams": _look_at_streams, "queues": _look_at_queues, "presence": _look_at_presence}


def _spread(times: list[float]) -> str:
    times = sorted(times)
    middle, late = times[len(times) // 2], times[len(times) * 99 // 100]
    return f"p50 {middle * 1000:.2f} ms, p99 {late * 1000:.2f} ms"
