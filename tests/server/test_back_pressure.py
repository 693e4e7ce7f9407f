"""Back-pressure: who sends faster than its client reads is suspended, and memory stays flat."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.harness import TEXT, Client, ServerProcess, serving, wait_until, write_module
from tests.transports.conftest import Project

MIB = 1 << 20
#: A worker may grow by this much: buffers of 64 KiB, and what an interpreter takes for itself.
ALLOWED = 24 * MIB
#: How long each client reads slowly. In this time an unsuspended sender makes gigabytes.
SECONDS = 2.0

APP = """
    import os

    PART = b"x" * 65536

    async def application(scope, receive, send):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": str(os.getpid())})
            for number in range(16384):
                await send({"type": "websocket.send", "bytes": PART})
                progress(number)
            return
        headers = [(b"x-pid", str(os.getpid()).encode()), (b"content-length", b"%d" % (1 << 30))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in range(16384):
            await send({"type": "http.response.body", "body": PART, "more_body": number < 16383})
            progress(number)

    def progress(number):
        with open("progress", "w") as file:
            file.write(str(number))
"""


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def sip(sock: socket.socket, pid: int) -> int:
    """Read 1 KB/s and a little at a time; the most that the process had meanwhile."""
    until = time.monotonic() + SECONDS
    most = 0
    while time.monotonic() < until:
        assert sock.recv(102)
        most = max(most, memory(pid))
        time.sleep(0.1)
    return most


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    write_module(tmp_path, "site_app", APP)
    options = ("--bind", "127.0.0.1:0", "--lifespan", "off")
    with ServerProcess(tmp_path, "site_app", *options) as process:
        process.says("http://")
        yield process


def parts_sent(folder: Path) -> int:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int((folder / "progress").read_text())
    return 0


def test_a_gigabyte_for_a_client_that_reads_1_kb_a_second(
    server: ServerProcess, tmp_path: Path
) -> None:
    with Client(server.address, receive_buffer=4096) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = client.receive_until(b"\r\n\r\n").decode()
        pid = int(next(line for line in head.split("\r\n") if "x-pid" in line).split()[1])
        before = memory(pid)
        most = sip(client.socket, pid)
        assert most - before < ALLOWED
        # Suspended: of 16,384 parts some are in the kernel, one or two here, and no more.
        assert parts_sent(tmp_path) < 1000
    # Let go, it ends: the client is gone.
    sent = parts_sent(tmp_path)
    with server.connect() as other:
        other.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        other.receive_exactly(4 * MIB)
    assert sent < 1000


def test_a_websocket_of_an_application_that_does_not_stop(
    server: ServerProcess, tmp_path: Path
) -> None:
    with Client(server.address, receive_buffer=4096) as client:
        client.upgrade()
        opcode, text = client.frame()
        assert opcode == TEXT
        before = memory(int(text))
        assert sip(client.socket, int(text)) - before < ALLOWED
        assert parts_sent(tmp_path) < 1000


@pytest.fixture
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    from tempfile import TemporaryDirectory

    # Not tmp_path: a Unix socket's path has at most 107 bytes.
    with TemporaryDirectory(prefix="sw") as folder:
        yield Project(Path(folder))


def test_a_topic_at_full_rate_for_a_client_that_reads_1_kb_a_second(project: Project) -> None:
    """80 MB of events: the slow one has a cursor, not a buffer, and loses nothing by it."""
    flood = "[topic.publish('n', [n, 'x' * 4000]) for n in range(20_000)]"
    code = f"from tests.project.topics import Stream; topic = Stream.at(name='full'); {flood}"
    with project.serve() as server:
        server.says("layer: local")
        with Client(server.address, receive_buffer=4096) as client:
            client.upgrade("/seaway/", "Sec-WebSocket-Protocol: seaway.v1")
            assert client.frame()[1].startswith(b'{"type":"welcome"')
            join = b'{"type":"join","id":1,"topic":"streams/full"}'
            client.send(bytes((0x81, 0x80 | len(join))) + b"\0\0\0\0" + join)
            joined = client.frame()[1]
            pid = int(joined.partition(b'"pid":')[2].partition(b"}")[0])
            before = memory(pid)
            publisher = threading.Thread(target=project.shell, args=(code,))
            publisher.start()
            most = 0
            while publisher.is_alive():
                client.received += client.socket.recv(102)
                most = max(most, memory(pid))
                publisher.join(0.1)
            assert most - before < ALLOWED
            # And now it reads as fast as it can.
            offsets = [offset_of(client.frame()[1]) for _ in range(20_000)]
            assert offsets == list(range(1, 20_001))
            assert memory(pid) - before < 2 * ALLOWED


def offset_of(event: bytes) -> int:
    return int(event.partition(b'"offset":')[2].partition(b",")[0])


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_the_application_itself_is_suspended(loop: str) -> None:
    """It sees its own ``send`` wait, and go on when the client reads."""
    sent: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(400):
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            sent.append(number)
        await send({"type": "http.response.body"})

    with serving(app, loop=loop) as server, server.connect(receive_buffer=4096) as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        wait_until(lambda: sent)

        def suspended() -> bool:
            before = len(sent)
            time.sleep(0.2)
            return len(sent) == before

        wait_until(suspended, "the suspension")
        assert len(sent) < 400
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)
        assert len(client.receive_all()) > 400 * 65536
        assert len(sent) == 400
