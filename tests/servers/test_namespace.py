"""A wire is cut in silence, and given back; what a killed run left behind is removed."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.namespace import NoNamespaces, Wire, network_namespace, why_not
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"no namespaces here: {why_not()}")

#: Says what it hears, once it has a connection to the address that it is given.
ECHO = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
    while data := connection.recv(100):
        connection.sendall(data.upper())
"""


@pytest.fixture
def talk() -> Iterator[tuple[Wire, socket.socket]]:
    """A wire, and a connection over it to a process that says again what it hears."""
    with network_namespace() as namespace:
        wire = namespace.wire()
        with socket.create_server((wire.here, 0)) as server:
            where = (wire.here, str(server.getsockname()[1]))
            process = subprocess.Popen(namespace.command(sys.executable, "-c", ECHO, *where))
            try:
                connection, (host, _) = server.accept()
                assert host == wire.there
                with connection:
                    yield wire, connection
            finally:
                process.kill()
                process.wait()


def test_what_is_said_over_a_cut_wire_is_neither_heard_nor_refused_and_comes_later(
    talk: tuple[Wire, socket.socket],
) -> None:
    wire, connection = talk
    connection.settimeout(60)
    connection.sendall(b"before")
    assert connection.recv(100) == b"BEFORE"
    wire.sever()
    connection.sendall(b"meanwhile")
    connection.settimeout(0.3)
    with pytest.raises(TimeoutError):
        connection.recv(100)
    with pytest.raises(TimeoutError):
        socket.create_connection((wire.there, 9), 0.3)  # neither refused nor without a route
    wire.mend()
    connection.settimeout(60)
    assert connection.recv(100) == b"MEANWHILE"


def test_afterwards_nothing_is_left() -> None:
    with network_namespace() as namespace:
        wire = namespace.wire()
        assert namespace.name in _names()
    assert namespace.name not in _names()
    assert not any(wire.here in line for line in _addresses())


def test_what_a_killed_process_left_behind_is_removed_by_the_next() -> None:
    code = (
        "import os, sys; from tests.servers.namespace import Namespace; n = Namespace().make();"
        "print(n.name, n.wire().here, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    name, address = done.stdout.split()
    assert any(address in line for line in _addresses())
    with network_namespace():
        assert name not in _names()
        # The kernel takes a namespace down, and what is in it, a little later.
        wait_for(lambda: not any(address in line for line in _addresses()), "its wire to go")


def test_another_s_namespace_stays() -> None:
    with network_namespace() as first, network_namespace() as second:
        assert {first.name, second.name} <= _names()


def test_what_ip_says_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NoNamespaces, match="ip is not installed"), network_namespace():
        raise AssertionError("there can be none")


def _names() -> set[str]:
    return {path.name for path in Path("/run/netns").iterdir()}


def _addresses() -> list[str]:
    return subprocess.run(
        ["ip", "-4", "-o", "addr"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
