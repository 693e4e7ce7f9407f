"""Who takes part in group_send: one consumer, under Seaway and Channels, on their layers.

What lives here: one `Contestant` per server and layer.
What must not: processes, measuring.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.contestants import Contestant, daphne_command, seaway_command, uvicorn_command

PROJECT = "benchmarks.projects.group_project"
CHANNELS = f"{PROJECT}.channels_asgi:application"


def _contestant(
    name: str, label: str, command: Callable[[int], list[str]], layer: str, redis: str = ""
) -> Contestant:
    environment = {"GROUP_LAYER": layer, "GROUP_REDIS": redis}
    return Contestant(name, label, command, path="/group/", environment=environment)


SEAWAY = _contestant(
    "seaway", "Seaway, default layer", seaway_command(f"{PROJECT}.seaway_asgi:application"), "local"
)
CHANNELS_UVICORN = _contestant(
    "channels_uvicorn", "Channels in memory, uvicorn", uvicorn_command(CHANNELS), "memory"
)
CHANNELS_DAPHNE = _contestant(
    "channels_memory", "Channels in memory, Daphne", daphne_command(CHANNELS), "memory"
)


def with_redis(url: str) -> Sequence[Contestant]:
    """All contestants, for whom there is a Redis or Valkey at ``url``."""
    seaway = seaway_command(f"{PROJECT}.seaway_asgi:application")
    daphne = daphne_command(CHANNELS)
    return [
        SEAWAY,
        _contestant("seaway_memory", "Seaway in memory", seaway, "memory"),
        _contestant("seaway_redis", "Seaway on Valkey", seaway, "redis", url),
        CHANNELS_DAPHNE,
        _contestant("channels_redis", "Channels on Valkey, Daphne", daphne, "redis", url),
        _contestant("channels_pubsub", "Channels, pub/sub, Daphne", daphne, "pubsub", url),
    ]
