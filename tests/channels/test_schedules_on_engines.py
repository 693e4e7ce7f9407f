"""The same random schedules on every engine with a server of its own: fewer of them, all in one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from seaway.conf import layer_home
from seaway.layers.base import Layer
from tests.channels.play import AWAY, HOME, Move, moves, play, scripts, turns
from tests.channels.schedules import Selecting, drained, exchange, in_order, tried
from tests.servers.nats import Nats
from tests.servers.postgres import postgres_server
from tests.servers.valkey import Valkey

#: No shrinking: see `tests.channels.test_schedules`.
few = settings(
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
#: Seconds for one schedule: each move is a way to a server and back.
PATIENCE = 60.0


@contextmanager
def _local() -> Iterator[str]:
    # A short directory: the path of the broker's socket has to fit into 107 bytes.
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        yield f"local://{directory}"


@contextmanager
def _redis() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        server = Valkey(Path(directory)).start()
        try:
            yield server.url
        finally:
            server.kill()


@contextmanager
def _nats() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        server = Nats(Path(directory)).start()
        try:
            yield server.url
        finally:
            server.kill()


@contextmanager
def _postgres() -> Iterator[str]:
    with postgres_server() as server:
        yield server.url()


ENGINES: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "local broker": _local,
    "Redis": _redis,
    "NATS": _nats,
    "PostgreSQL": _postgres,
}


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server of an engine, and the setting that leads to it; how the layer calls itself."""
    name: str = request.param
    with ENGINES[name]() as url, override_settings(SEAWAY={"LAYER": url}):
        yield name


async def _describe(layer: Layer) -> str:
    return layer.describe()


actors = st.lists(scripts, min_size=1, max_size=3)
capacities = st.integers(1, 3)
contents = st.lists(st.integers(0, 4), min_size=1, max_size=3)
fates = st.lists(st.booleans(), min_size=3, max_size=3)


class Exchange(NamedTuple):
    capacity: int
    senders: list[list[Move]]
    receivers: list[list[Move]]


class Choice(NamedTuple):
    values: list[int]
    events: int
    script: list[Move]
    later: list[int]


class Work(NamedTuple):
    senders: list[list[Move]]
    workers: list[list[bool]]
    capacity: int


class Closing(NamedTuple):
    senders: list[list[Move]]
    receivers: int
    closing: int
    capacity: int


exchanges = st.builds(Exchange, capacities, actors, actors)
choices = st.builds(
    Choice, contents, st.integers(0, 4), st.lists(moves, max_size=20), st.lists(turns, max_size=4)
)
works = st.builds(
    Work, actors, st.lists(st.lists(st.booleans(), max_size=8), min_size=1, max_size=3), capacities
)
closings = st.builds(Closing, actors, st.integers(1, 3), st.integers(0, 30), capacities)


@few
@given(exchanged=exchanges, chosen=choices)
def test_what_is_sent_reaches_one_receiver_and_select_takes_from_one(
    engine: str, exchanged: Exchange, chosen: Choice
) -> None:
    async def schedule() -> None:
        assert engine in layer_home().layer.describe()
        await exchange(HOME, *exchanged)
        await Selecting(HOME, chosen.values, chosen.events).run(chosen.script, chosen.later)

    play(HOME, schedule, PATIENCE)


@few
@given(exchanged=exchanges, chosen=choices)
def test_the_same_from_another_loop(engine: str, exchanged: Exchange, chosen: Choice) -> None:
    async def schedule() -> None:
        assert engine in await layer_home().arun(_describe)
        await exchange(AWAY, *exchanged)
        await Selecting(AWAY, chosen.values, chosen.events).run(chosen.script, chosen.later)

    play(AWAY, schedule, PATIENCE)


@few
@given(
    worked=works,
    closed=closings,
    tries=st.tuples(st.lists(fates, max_size=8), st.integers(1, 3)),
)
def test_orders_are_kept_closed_channels_drained_and_tries_counted(
    engine: str, worked: Work, closed: Closing, tries: tuple[list[list[bool]], int]
) -> None:
    async def schedule() -> None:
        assert engine in layer_home().layer.describe()
        await in_order(*worked)
        await drained(*closed)
        await tried(*tries)

    play(HOME, schedule, PATIENCE)
