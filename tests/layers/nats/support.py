"""Layers on a NATS for tests, each test in a namespace of its own.

What lives here: making layers. What must not: starting servers; that is `tests.servers.nats`.
"""

from __future__ import annotations

import itertools
import os

from seaway.layers.engines import make_layer
from seaway.layers.nats.layer import NatsLayer
from seaway.testing.layer_contract import Process, started

_numbers = itertools.count()


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
