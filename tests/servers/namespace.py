"""Network namespaces: a process with a network of its own, which can be cut off in silence.

What lives here: `Namespace`, its `Wire` to this machine, and why there is none. What must not: who
runs in it.

A wire is cut by telling the kernel on both of its ends that the other one has a hardware address
that nobody has: what is sent leaves in order and reaches nobody. So TCP sees nothing but silence,
no refusal, no reset, and no route that is gone. It needs the program ``ip`` and root, and no module
for filtering.

Whatever a run that was killed has left behind is removed by the next one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from tests.servers.network import network_changes

#: Of networks for measurements (RFC 2544, appendix C.2.2): no machine reaches another one by them.
_FIRST, _NETWORKS = (198 << 24) + (18 << 16), 1 << 15
#: Nobody's hardware address: locally administered, and of no device of ours.
_NOBODY = "02:00:00:00:00:01"
_PREFIX = "seaway"
_numbers = itertools.count(1)


class NoNamespaces(Exception):
    """There can be none here; the message says why."""


class Wire:
    """Two devices that are linked: one of this machine, one of a namespace.

    :ivar here: this machine's address on it. :ivar there: the namespace's.
    """

    #: How it is cut.
    kind = "namespace"

    def __init__(self, namespace: str) -> None:
        number = next(_numbers)
        self.here, self.there = _addresses()
        self._namespace = namespace
        self._device = f"sw{os.getpid()}x{number}"
        self._inside = f"wire{number}"
        with network_changes():
            _ip("link", "add", self._device, "type", "veth", "peer", "name", self._inside,
                "netns", namespace)  # fmt: skip
            _ip("addr", "add", f"{self.here}/30", "dev", self._device)
            _ip("link", "set", self._device, "up")
            self._ip_inside("addr", "add", f"{self.there}/30", "dev", self._inside)
            self._ip_inside("link", "set", self._inside, "up")

    def leads_to(self, address: str) -> None:
        """Reach another address of this machine by it, too."""
        self._ip_inside("route", "replace", f"{address}/32", "via", self.here)

    def sever(self) -> None:
        """Lose all that is sent on it, in both directions."""
        _ip("neigh", "replace", self.there, "lladdr", _NOBODY, "dev", self._device,
            "nud", "permanent")  # fmt: skip
        self._ip_inside("neigh", "replace", self.here, "lladdr", _NOBODY, "dev", self._inside,
                        "nud", "permanent")  # fmt: skip

    def mend(self) -> None:
        """Lose nothing more. Idempotent."""
        with suppress(NoNamespaces):
            _ip("neigh", "del", self.there, "dev", self._device)
        with suppress(NoNamespaces):
            self._ip_inside("neigh", "del", self.here, "dev", self._inside)

    async def cut(self, seconds: float) -> None:
        """Lose everything for so long."""
        await asyncio.to_thread(self.sever)
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(self.mend)

    def remove(self) -> None:
        """Remove it. Idempotent."""
        with suppress(NoNamespaces), network_changes():
            _ip("link", "del", self._device)

    def _ip_inside(self, *words: str) -> None:
        _ip("-n", self._namespace, *words)


class Namespace:
    """A network of its own, without any way out but its wires. Its name is of this process."""

    def __init__(self) -> None:
        self.name = f"{_PREFIX}-{os.getpid()}-{_started(os.getpid())}-{next(_numbers)}"
        self._wires: list[Wire] = []

    def make(self) -> Namespace:
        """:raises NoNamespaces: in words."""
        if sys.platform != "linux":
            raise NoNamespaces("network namespaces are Linux's")
        if os.geteuid() != 0:
            raise NoNamespaces("only root may make network namespaces")
        if shutil.which("ip") is None:
            raise NoNamespaces("the program ip is not installed (package iproute2)")
        _sweep()
        _ip("netns", "add", self.name)
        try:
            _ip("-n", self.name, "link", "set", "lo", "up")
        except BaseException:
            self.remove()
            raise
        return self

    def wire(self) -> Wire:
        """One more way to this machine."""
        wire = Wire(self.name)
        self._wires.append(wire)
        return wire

    def command(self, *words: str) -> list[str]:
        """A command that runs in it; the process that is started is the command's own."""
        return ["ip", "netns", "exec", self.name, *words]

    def remove(self) -> None:
        """Remove it and its wires; processes in it should have ended. Idempotent."""
        for wire in self._wires:
            wire.remove()
        with suppress(NoNamespaces):
            _ip("netns", "del", self.name)


@contextmanager
def network_namespace() -> Iterator[Namespace]:
    """A namespace that is gone afterwards.

    :raises NoNamespaces: there can be none here.
    """
    namespace = Namespace()
    try:
        yield namespace.make()
    finally:
        if namespace.name in _names():
            namespace.remove()


@cache
def why_not() -> str:
    """Why there are no namespaces with wires here; empty: there are."""
    try:
        with network_namespace() as namespace:
            wire = namespace.wire()
            wire.sever()
            wire.mend()
    except NoNamespaces as error:
        return str(error)
    return ""


def _names() -> list[str]:
    try:
        return [path.name for path in Path("/run/netns").iterdir()]
    except OSError:
        return []


def _sweep() -> None:
    """Remove the namespaces of processes that are no more; their wires go with them."""
    for name in _names():
        prefix, *rest = name.split("-")
        if prefix == _PREFIX and len(rest) == 3 and _started(rest[0]) != rest[1]:
            with suppress(NoNamespaces), network_changes():
                _ip("netns", "del", name)


def _started(pid: int | str) -> str:
    """When a process was started, in the kernel's ticks; empty: there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return ""


def _addresses() -> tuple[str, str]:
    """The two addresses of a network of four that nobody uses here."""
    rows = json.loads(_ip("-j", "-4", "addr"))
    taken = {info["local"] for row in rows for info in row.get("addr_info", ())}
    while True:
        first = _FIRST + 4 * random.randrange(_NETWORKS)
        here, there = (_dotted(first + n) for n in (1, 2))
        if here not in taken:
            return here, there


def _dotted(address: int) -> str:
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


def _ip(*words: str) -> str:
    """:raises NoNamespaces: what it says when it fails."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoNamespaces(f"ip {' '.join(words)} says: {done.stderr.strip()}")
    return done.stdout
