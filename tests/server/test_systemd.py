"""systemd: passed sockets and what it is told. This test plays systemd."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from seaway.exceptions import ConfigurationError
from seaway.server.addresses import bind_all
from seaway.server.config import ServerConfig
from seaway.server.systemd import Notifier
from tests.server.harness import PATIENCE, Client, ServerProcess, write_module

APP = """
    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
"""

#: Does what systemd does between fork and exec: the socket at 3, our id in LISTEN_PID.
LAUNCHER = """
    import os, sys
    os.dup2(int(sys.argv[1]), 3)
    os.set_inheritable(3, True)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", WATCHDOG_PID=str(os.getpid()))
    os.execv(sys.executable, [sys.executable, "-m", "seaway.server.cli", *sys.argv[2:]])
"""


class Manager:
    """Listens where a service reports."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(PATIENCE)

    def hears(self, start: str) -> dict[str, str]:
        """The next report that begins so, as names and values."""
        while not (text := self.socket.recv(4096).decode()).startswith(start):
            pass
        return dict(line.split("=", 1) for line in text.split("\n"))


@pytest.fixture
def manager(tmp_path: Path) -> Manager:
    return Manager(tmp_path)


def test_ready_reloading_stopping(tmp_path: Path, manager: Manager) -> None:
    write_module(tmp_path, "site_app", APP)
    env = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "400000"}
    options = ("--bind", "127.0.0.1:0", "--lifespan", "off")
    with ServerProcess(tmp_path, "site_app", *options, env=env) as server:
        ready = manager.hears("READY=1")
        assert ready["MAINPID"] == str(server.process.pid)
        assert ready["STATUS"] == "1 worker ready"
        assert manager.hears("WATCHDOG=1") == manager.hears("WATCHDOG=1")
        server.signal(signal.SIGHUP)
        assert manager.hears("RELOADING=1")["MONOTONIC_USEC"].isdigit()
        manager.hears("READY=1")
        write_module(tmp_path, "site_app", "raise RuntimeError('not today')")
        server.signal(signal.SIGHUP)
        manager.hears("RELOADING=1")
        # The old workers still serve.
        manager.hears("READY=1")
        server.signal(signal.SIGTERM)
        manager.hears("STOPPING=1")
        assert server.wait() == 0
    manager.socket.close()


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_a_passed_socket_is_served_and_outlives_the_server(tmp_path: Path, family: str) -> None:
    write_module(tmp_path, "site_app", APP)
    write_module(tmp_path, "launcher", LAUNCHER)
    if family == "tcp":
        listening = socket.create_server(("127.0.0.1", 0))
        address = listening.getsockname()
    else:
        listening = socket.socket(socket.AF_UNIX)
        address = str(tmp_path / "s")
        listening.bind(address)
        listening.listen()
    fd = listening.fileno()
    with listening, Client(address) as early:
        # Nobody accepts yet, but somebody will.
        early.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        for _ in range(2):
            os.set_inheritable(fd, True)
            arguments = (str(fd), "serve", "site_app", "--bind", "systemd", "--lifespan", "off")
            server = ServerProcess.__new__(ServerProcess)
            server.start([sys.executable, "launcher.py", *arguments], tmp_path, close_fds=False)
            with server:
                server.says("1 worker")
                with Client(address) as client:
                    assert client.request().status == 200
                server.signal(signal.SIGTERM)
                assert server.wait() == 0
        assert b" 200 " in early.receive_all()


def test_without_systemd_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    with pytest.raises(ConfigurationError, match="has passed no sockets"):
        bind_all(ServerConfig(bind=("systemd",)))


def test_an_abstract_socket_and_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"@seaway-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:])
        manager.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notifier = Notifier()
        assert "NOTIFY_SOCKET" not in os.environ
        notifier.stopping()
        assert manager.recv(100).startswith(b"STOPPING=1")
    notifier.ready("nobody hears this")
    notifier.close()
    notifier.ready("nor this")


def test_a_watchdog_of_another_process_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert Notifier().due == 0.0
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    assert Notifier().interval == 0.5
