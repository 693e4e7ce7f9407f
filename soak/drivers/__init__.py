"""The engines that can be soaked: their drivers by name.

What lives here: finding a driver. What must not: the order in which faults happen (`soak.engine`).
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from soak.drivers.base import Driver
from soak.network import Network

#: Engine → its module and class. Imported when it is asked for: each needs its engine's packages.
_DRIVERS = {
    "local": "soak.drivers.local:LocalDriver",
    "redis": "soak.drivers.redis:RedisDriver",
    "cluster": "soak.drivers.cluster:ClusterDriver",
    "nats": "soak.drivers.nats:NatsDriver",
    "nats-cluster": "soak.drivers.nats:NatsClusterDriver",
    "postgres": "soak.drivers.postgres:PostgresDriver",
}
ENGINES = tuple(_DRIVERS)


def make_driver(engine: str, folder: Path, pause: float, network: Network) -> Driver:
    """The driver of an engine, not yet started.

    :param folder: one of its own. :param pause: seconds for which it is stopped (SIGSTOP).
    :param network: how it is reached; closed by who made it.
    """
    module, _, name = _DRIVERS[engine].partition(":")
    driver: Driver = getattr(import_module(module), name)(folder, pause, network)
    return driver
