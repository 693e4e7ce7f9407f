"""Layers on a NATS for tests, each test in a namespace of its own.

What lives here: making layers. What must not: starting servers; that is `tests.servers.nats`.
"""

from __future__ import annotations

import contextlib
import itertools
import os

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import History, Layer, Position, Publication
from seaway.layers.engines import make_layer
from seaway.layers.nats.layer import NatsLayer
from seaway.testing.layer_contract import TOPIC, Process, page, started

_numbers = itertools.count()

#: A history that keeps whatever a test publishes.
LARGE = History(size=100_000, seconds=3600)


def namespace() -> str:
    """One that nobody has used on this server."""
    return f"t{os.getpid()}-{next(_numbers)}"


def nats_layer(url: str, namespace: str = "seaway") -> NatsLayer:
    layer = make_layer(url, namespace=namespace, place="tests")
    assert isinstance(layer, NatsLayer)
    return layer


async def processes(url: str, count: int, name: str | None = None) -> list[Process]:
    """Started layers of several processes of one project."""
    name = name or namespace()
    return [await started(nats_layer(url, name)) for _ in range(count)]


async def stored(layer: Layer, since: Position, topic: str = TOPIC) -> list[Publication]:
    """All that can be read after a position; there must be no gap."""
    found: list[Publication] = []
    while True:
        answer = await layer.read(topic, since, limit=1000)
        part = page(answer).publications
        if not part:
            return found
        found += part
        since = part[-1].position


async def publish_all(layer: Layer, names: list[bytes]) -> list[bytes]:
    """Publish one after the other; those of which it is known that they are published."""
    told: list[bytes] = []
    for data in names:
        with contextlib.suppress(LayerUnavailable):
            await layer.publish(TOPIC, data, LARGE)
            told.append(data)
    return told


def check_heard(process: Process) -> None:
    """What was heard was heard once and in order, and holes were told."""
    offsets = [position.offset for position in process.heard.positions()]
    assert offsets == sorted(set(offsets)), "repeated, or out of order"
    holes = [after for before, after in itertools.pairwise(offsets) if after != before + 1]
    assert not holes or process.heard.restorations, f"holes before {holes}"
