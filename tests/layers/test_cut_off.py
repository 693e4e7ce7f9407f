"""A process in a network namespace is cut off from its engine, in silence, and comes back.

Nothing tells the process, and nothing tells the engine: what they send to each other is lost, until
it is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from seaway.layers.base import Layer
from seaway.layers.engines import make_layer
from seaway.testing.contract_support import eventually
from tests.layers.away import MEMBER, Away
from tests.layers.following import KEPT, Follower
from tests.servers.namespace import Namespace, Wire
from tests.servers.nats import Nats
from tests.servers.postgres import postgres_server
from tests.servers.valkey import Valkey
from tests.waiting import until

pytestmark = pytest.mark.asyncio

NAME = "cut-off"
TOPIC = "halls/1/seats"


@contextmanager
def valkey(folder: Path, host: str) -> Iterator[str]:
    server = Valkey(folder, host=host).start()
    try:
        yield f"{server.url}?lease=2"
    finally:
        server.kill()


@contextmanager
def nats(folder: Path, host: str) -> Iterator[str]:
    server = Nats(folder, host=host).start()
    try:
        yield f"{server.url}?lease=2"
    finally:
        server.kill()


@contextmanager
def postgres(folder: Path, host: str) -> Iterator[str]:
    with postgres_server(host=host) as server:
        yield server.url()


Serving = Callable[[Path, str], AbstractContextManager[str]]


@pytest.mark.parametrize(
    ("serving", "leaves"),
    [
        pytest.param(valkey, True, id="redis"),
        pytest.param(nats, True, id="nats"),
        # Its lease is no option, and longer than a test should take.
        pytest.param(postgres, False, id="postgres"),
    ],
)
async def test_a_process_whose_network_is_cut_comes_back(
    network: Namespace, tmp_path: Path, serving: Serving, leaves: bool
) -> None:
    """One process in a namespace, one here. ``leaves``: its member does meanwhile."""
    wire = network.wire()
    with serving(tmp_path / "server", wire.here) as url:
        layer = make_layer(url, namespace=NAME, place="tests")
        here = await Follower(layer, TOPIC).start()
        try:
            async with Away(network, url, NAME, TOPIC) as away:
                await _course(wire, here, layer, away, leaves=leaves)
        finally:
            await here.stop()


async def _course(wire: Wire, here: Follower, layer: Layer, away: Away, *, leaves: bool) -> None:
    await layer.publish(TOPIC, b"before", KEPT)
    await until(lambda: away.heard() == ["before"])
    assert MEMBER in await layer.members(TOPIC)

    await asyncio.to_thread(wire.sever)
    away.publish("shout")
    missed = [f"missed-{n}" for n in range(20)]
    for data in missed:
        await layer.publish(TOPIC, data.encode(), KEPT)
    if leaves:
        await eventually(lambda: layer.members(TOPIC), lambda members: not members)
    assert away.heard() == ["before"]

    await asyncio.to_thread(wire.mend)
    await until(lambda: any(line[:8] in ("P shout", "? shout ") for line in away.lines))
    await until(lambda: set(missed) <= set(away.heard()))
    away.publish("after")
    await until(lambda: "P after" in away.lines and "after" in away.heard())
    await until(lambda: [data for _, data in here.lives[-1]][-1:] == [b"after"])
    await eventually(lambda: layer.members(TOPIC), lambda members: set(members) == {MEMBER})

    # Whether the shout was stored is not known where nobody said so; but never twice, and to all.
    [events] = here.lives
    told = [data.decode() for _, data in events]
    assert away.heard() == told
    assert [data for data in told if data != "shout"] == ["before", *missed, "after"]
    assert told.count("shout") <= 1
    assert "P shout" not in away.lines or "shout" in told
    assert "gap" not in away.lines
    await away.end()
