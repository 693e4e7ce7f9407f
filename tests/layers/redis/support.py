"""Layers on a Redis for tests, each test in a namespace of its own.

What lives here: making layers. What must not: starting servers; that is `tests.servers.valkey`.
"""

from __future__ import annotations

import itertools
import os

from seaway.layers.base import Layer
from seaway.layers.engines import make_layer
from seaway.layers.redis.engine import Engine
from seaway.layers.redis.layer import RedisLayer
from seaway.testing.layer_contract import Process, started

_numbers = itertools.count()


def namespace() -> str:
    """One that nobody has used on this server."""
    return f"t{os.getpid()}-{next(_numbers)}"


def redis_layer(url: str, namespace: str = "seaway") -> RedisLayer:
    layer = make_layer(url, namespace=namespace, place="tests")
    assert isinstance(layer, RedisLayer)
    return layer


async def processes(url: str, count: int, name: str | None = None) -> list[Process]:
    """Started layers of several processes of one project."""
    name = name or namespace()
    return [await started(redis_layer(url, name)) for _ in range(count)]


def engine_of(layer: Layer) -> Engine:
    """What a test may hurt or look into."""
    assert isinstance(layer, RedisLayer)
    return layer._engine


def connected(layer: Layer) -> bool:
    """Whether all connections of a layer stand."""
    shards = engine_of(layer).opened().shards()
    return all(pipe.link is not None for one in shards for pipe in (one.commands, one.news))
