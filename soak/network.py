"""How the server and one publisher reach the engine, and how they are cut off from it.

What lives here: `Network`, and the two that there are: `Cables`, forwarders that lose what is said,
and `Namespaces`, in which the processes have a network of their own. What must not: an engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol

from tests.servers.namespace import NoNamespaces, network_namespace, why_not

from soak.cable import Cable

#: The engines that are reached by a network; the local one is reached by a path.
NETWORKED = ("redis", "cluster", "nats", "nats-cluster", "postgres")
HERE = "127.0.0.1"


class Way(Protocol):
    """What leads to an engine.

    :ivar kind: by what it is cut.
    """

    kind: str

    async def cut(self, seconds: float) -> None:
        """Lose everything for so long, without a word."""


class Network(Protocol):
    """The surroundings of one soak.

    :ivar host: where the engine listens. :ivar server_host: where the server does.
    :ivar server_command: what a command of the server begins with, and ``publisher_command`` one
        of the publisher's.
    :ivar ways: by whom they cut off, those to be cut together; known after `reach`.
    :ivar patience: how many times as long as the faults before and after it a cut lasts.
    """

    kind: str
    patience: float
    host: str
    server_host: str
    server_command: Sequence[str]
    publisher_command: Sequence[str]
    ways: Mapping[str, Sequence[Way]]

    async def reach(self, port: int | None) -> tuple[str, str]:
        """The engine's ``host:port`` for the server, and for the publisher.

        :param port: None: an engine with several, whose clients find out by themselves.
        """

    async def close(self) -> None: ...


class Cables:
    """All run side by side; a cable breaks all connections when its cut ends."""

    kind = Cable.kind
    patience = 1.0
    host = server_host = HERE
    server_command: Sequence[str] = ()
    publisher_command: Sequence[str] = ()

    def __init__(self) -> None:
        self.ways: Mapping[str, Sequence[Way]] = {}
        self._cables: list[Cable] = []

    async def reach(self, port: int | None) -> tuple[str, str]:
        if port is None:
            return "", ""  # they would find the way past a cable
        server, publisher = self._cables = [Cable((HERE, port)), Cable((HERE, port))]
        for cable in self._cables:
            await cable.start()
        self.ways = {"server": [server], "publisher": [publisher]}
        return f"{HERE}:{server.port}", f"{HERE}:{publisher.port}"

    async def close(self) -> None:
        for cable in self._cables:
            await cable.close()


class Namespaces:
    """The server and the publisher run in namespaces. The server's has two wires: its clients come
    by the one, which is never cut; the engine listens at the end of the other one.

    A cut lasts long enough for the processes to notice it: no connection ends with it by itself.
    """

    kind = "namespace"
    patience = 3.0

    def __init__(self) -> None:
        with ExitStack() as stack:
            server, publisher = (stack.enter_context(network_namespace()) for _ in range(2))
            clients, engine, other = server.wire(), server.wire(), publisher.wire()
            other.leads_to(engine.here)
            self._kept = stack.pop_all()
        self.host, self.server_host = engine.here, clients.there
        self.server_command: Sequence[str] = server.command()
        self.publisher_command: Sequence[str] = publisher.command()
        self.ways: Mapping[str, Sequence[Way]] = {"server": [engine], "publisher": [other]}

    async def reach(self, port: int | None) -> tuple[str, str]:
        where = f"{self.host}:{port}"
        return where, where

    async def close(self) -> None:
        self._kept.close()


def make_network(engine: str, wanted: str) -> tuple[Network, str]:
    """The network for an engine, and a line that says which and why.

    :param wanted: ``namespace``, ``proxy``, or ``auto``: a namespace where there can be one.
    :raises NoNamespaces: it cannot be had; in words.
    """
    reason = why_not() if engine in NETWORKED else f"the {engine} engine is reached by a path"
    if wanted == "proxy":
        reason = "as it is asked for"
    elif wanted == "namespace" and reason:
        raise NoNamespaces(f"--network namespace: {reason}")
    if reason:
        return Cables(), f"network cut (proxy): {reason}"
    return Namespaces(), "network cut (namespace): the server and one publisher have their own"
