"""A process whose network is cut between it and its engine, and given back: the same for all.

What lives here: the course, and what has to hold. What must not: an engine.

Nothing tells the process, and nothing tells the engine: what they send to each other is lost, until
it is not.
"""

from __future__ import annotations

import asyncio

from seaway.layers.base import Layer
from seaway.testing.contract_support import eventually
from tests.layers.away import MEMBER, Away
from tests.layers.following import KEPT, Follower
from tests.servers.namespace import Namespace, Wire
from tests.waiting import until

TOPIC = "halls/1/seats"


async def cut_off_and_given_back(
    network: Namespace, wire: Wire, url: str, name: str, layer: Layer, *, leaves: bool
) -> None:
    """One process in a namespace, one here.

    :param url: of the engine, by the wire. :param layer: of this process, not yet started.
    :param leaves: whether its lease is short enough to see that its member leaves.
    """
    here = await Follower(layer, TOPIC).start()
    try:
        async with Away(network, url, name, TOPIC) as away:
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
