"""The supervisor with real processes: start, crash, reload, drain."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.harness import CLOSE, Client, ServerProcess, refuses, wait_until, write_module
from tests.server.site import APP, ask, load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_module(tmp_path, "site_app", APP)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess(folder, "site_app:application", "--bind", "127.0.0.1:0") as process:
        yield process


def test_the_start_block_says_what_runs(server: ServerProcess) -> None:
    assert ask(server)[0] == "1"
    assert "Seaway 0." in server.output[0]
    assert "  application: site_app:application" in server.output
    assert "  layer: none, this is a test" in server.output
    assert any(line.startswith("  1 worker, uvloop ") for line in server.output)


def test_a_crashed_worker_is_replaced(server: ServerProcess) -> None:
    _, pid = ask(server)
    with server.connect() as client:
        client.send(b"GET /crash HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises((AssertionError, ConnectionResetError)):
            client.response()
    server.says("worker_died")
    assert f'pid={pid} reason="exit status 7"' in server.text
    # The listening socket is the supervisor's: nobody is refused meanwhile.
    assert ask(server)[1] != pid
    with server.connect() as client:
        client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        server.says("slow begun")
        os.kill(ask(server)[1], signal.SIGKILL)
    server.says("killed by SIGKILL")
    assert ask(server)[0] == "1"


def test_sigterm_lets_everything_finish(server: ServerProcess) -> None:
    with server.connect() as slow, server.connect() as socket, server.connect() as idle:
        assert idle.request().status == 200
        socket.upgrade()
        slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        server.says("slow begun")
        server.signal(signal.SIGTERM)
        assert socket.frame() == (CLOSE, (1012).to_bytes(2, "big") + b"service restart")
        socket.socket.close()
        wait_until(lambda: refuses(server.connect))
        response = slow.response()
        assert response.body.startswith(b"1 ")
        assert response.headers["connection"] == "close"
        assert idle.receive_all() == b""
    assert server.wait() == 0
    assert "shutdown ran" in server.output
    assert "Traceback" not in server.text
    with pytest.raises(ConnectionRefusedError):
        Client(server.address)


def test_a_second_sigint_does_not_wait(server: ServerProcess) -> None:
    with server.connect() as slow:
        slow.upgrade()
        server.signal(signal.SIGINT)
        assert slow.frame()[0] == CLOSE
        server.signal(signal.SIGINT)
        assert server.wait() == 0
    assert "Traceback" not in server.text


def test_workers_go_when_their_supervisor_is_killed(server: ServerProcess) -> None:
    _, pid = ask(server)
    server.process.kill()

    def gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True

    wait_until(gone, "the worker's end")


def test_a_reload_under_load_fails_no_request(folder: Path) -> None:
    arguments = ("site_app:application", "--bind", "127.0.0.1:0", "--workers", "2")
    with ServerProcess(folder, *arguments) as server:
        server.says("http://")
        with load(server, keep=(True, True, False)) as answers:
            wait_until(lambda: len(answers) > 50)
            write_module(folder, "site_app", APP.replace('VERSION = "1"', 'VERSION = "22"'))
            server.signal(signal.SIGHUP)
            server.says("reloaded generation=1")
            wait_until(lambda: {version for version, _ in answers[-20:]} == {"22"})
            server.says("shutdown ran", times=2)
        # Code that does not start leaves the old code serving.
        write_module(folder, "site_app", "raise RuntimeError('not today')")
        server.signal(signal.SIGHUP)
        server.says("reload_failed")
        assert "not today" in server.text
        assert ask(server)[0] == "22"
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_pid_file(folder: Path) -> None:
    pid_file = folder / "seaway.pid"
    arguments = ("site_app", "--bind", "127.0.0.1:0", "--pid-file", str(pid_file))
    with ServerProcess(folder, *arguments) as server:
        server.says("http://")
        assert int(pid_file.read_text()) == server.process.pid
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert not pid_file.exists()


def test_a_reload_that_is_asked_for_during_a_reload_follows_it(folder: Path) -> None:
    """What was deployed after the first one had read the code is not forgotten."""
    with ServerProcess(folder, "site_app:application", "--bind", "127.0.0.1:0") as server:
        assert ask(server)[0] == "1"
        slow = APP.replace('VERSION = "1"', 'import time; time.sleep(1); VERSION = "2"')
        write_module(folder, "site_app", slow)
        server.signal(signal.SIGHUP)
        server.says("reloading generation=1")
        write_module(folder, "site_app", APP.replace('VERSION = "1"', 'VERSION = "333"'))
        for _ in range(3):
            server.signal(signal.SIGHUP)
        server.says("reloaded generation=2")
        wait_until(lambda: ask(server)[0] == "333")
        assert "generation=3" not in server.text
