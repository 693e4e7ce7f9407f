"""What the server's tests share: servers in threads and in processes, and a raw client.

What lives here: starting and stopping, waiting for conditions, speaking bytes.
What must not: assertions about the server.
"""

import contextlib
import logging
import os
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from seaway.server.application import Announcement
from seaway.server.asgi_types import Application
from seaway.server.config import ServerConfig
from seaway.server.run import Runner

#: Seconds after which a condition counts as never met. Generous: the machine may be busy.
PATIENCE = 60.0


def wait_until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Wait for ``condition()`` to be true; return its value."""
    until = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > until:
            raise AssertionError(f"{what} was not met in {PATIENCE:.0f} s")
        time.sleep(0.005)
    return value


def refuses(connect: Callable[[], "Client"]) -> bool:
    """Whether nobody listens any more. Who was about to be accepted at that moment is reset."""
    try:
        connect().socket.close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


class RunningServer:
    """A server in a thread of this process."""

    def __init__(self, runner: Runner, announcement: Announcement) -> None:
        self.runner = runner
        self.announcement = announcement
        self.url = announcement.urls[0]

    @property
    def address(self) -> tuple[str, int] | str:
        if self.url.startswith("unix:"):
            return self.url.removeprefix("unix:")
        host, _, port = self.url.partition("://")[2].rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    def connect(self, **options: Any) -> "Client":
        return Client(self.address, **options)


@contextlib.contextmanager
def serving(app: Application, **options: Any) -> Iterator[RunningServer]:
    """Serve ``app`` on a free port, from a thread; ``options`` are those of `ServerConfig`."""
    options.setdefault("bind", ("127.0.0.1:0",))
    options.setdefault("drain_timeout", 5.0)
    options.setdefault("lifespan", "off")
    announced: list[Announcement] = []
    failed: list[BaseException] = []
    runner = Runner(app, ServerConfig(**options), announce=announced.append)

    def target() -> None:
        try:
            runner.run()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            failed.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    wait_until(lambda: announced or failed, "the server's start")
    if failed:
        raise failed[0]
    try:
        yield RunningServer(runner, announced[0])
    finally:
        runner.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server does not stop"
        if failed:
            raise failed[0]


class Client:
    """A blocking client that speaks bytes."""

    def __init__(
        self,
        address: tuple[str, int] | str,
        *,
        tls: ssl.SSLContext | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(PATIENCE)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        self.socket = tls.wrap_socket(sock, server_hostname="localhost") if tls else sock
        self.received = b""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive_until(self, mark: bytes) -> bytes:
        """Everything up to and with ``mark``."""
        while mark not in self.received:
            data = self.socket.recv(65536)
            if not data:
                raise AssertionError(f"the server closed; received {self.received[-500:]!r}")
            self.received += data
        end = self.received.index(mark) + len(mark)
        found, self.received = self.received[:end], self.received[end:]
        return found

    def receive_exactly(self, size: int) -> bytes:
        while len(self.received) < size:
            data = self.socket.recv(65536)
            if not data:
                raise AssertionError(f"the server closed; received {self.received[-500:]!r}")
            self.received += data
        found, self.received = self.received[:size], self.received[size:]
        return found

    def receive_all(self) -> bytes:
        """Everything up to the server's close."""
        while data := self.socket.recv(65536):
            self.received += data
        found, self.received = self.received, b""
        return found

    def request(self, path: str = "/", *headers: str, method: str = "GET") -> "Response":
        """One request without a body, and its response."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
        self.send("\r\n".join(lines).encode())
        return self.response()

    def response(self) -> "Response":
        """The next response; its body must be counted or chunked."""
        return Response(self)

    def upgrade(self, path: str = "/", *headers: str) -> bytes:
        """Ask for a WebSocket; the head of the answer."""
        self.send(upgrade_request(path, *headers))
        return self.receive_until(b"\r\n\r\n")

    def frame(self) -> tuple[int, bytes]:
        """The next WebSocket frame: (opcode, payload)."""
        first, size = self.receive_exactly(2)
        if size == 126:
            size = int.from_bytes(self.receive_exactly(2), "big")
        elif size == 127:
            size = int.from_bytes(self.receive_exactly(8), "big")
        return first & 0x0F, self.receive_exactly(size)


class Response:
    """A response as it came."""

    def __init__(self, client: Client) -> None:
        head = client.receive_until(b"\r\n\r\n").decode("latin-1")
        status_line, *lines = head.rstrip("\r\n").split("\r\n")
        self.status = int(status_line.split()[1])
        self.headers = {
            name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
        }
        self.body = self._read(client)

    def _read(self, client: Client) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(client.receive_until(b"\r\n"), 16):
                parts.append(client.receive_exactly(size))
                client.receive_until(b"\r\n")
            client.receive_until(b"\r\n")
            return b"".join(parts)
        return client.receive_exactly(int(self.headers.get("content-length", 0)))


def upgrade_request(path: str = "/", *headers: str) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def masked(opcode: int, payload: bytes = b"") -> bytes:
    """A client's frame; the mask is zero, so the payload can be read in it."""
    size = len(payload)
    if size < 126:
        length = bytes((0x80 | size,))
    elif size < 65536:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes((0x80 | opcode,)) + length + b"\0\0\0\0" + payload


TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


class CapturedLog(logging.Handler):
    """What ``seaway.*`` has logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def events(self) -> list[str]:
        return [getattr(record, "event", record.getMessage()) for record in self.records]

    @property
    def tracebacks(self) -> list[logging.LogRecord]:
        return [record for record in self.records if record.exc_info]


class ServerProcess:
    """``seaway serve`` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "seaway.server.cli", "serve", *arguments]
        self.start(command, folder, env=env)

    def start(
        self, command: list[str], folder: Path, *, env: dict[str, str] | None = None, **options: Any
    ) -> None:
        """Run any command that becomes a server."""
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self.output: list[str] = []
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line.rstrip("\n"))

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def text(self) -> str:
        return "\n".join(self.output)

    def says(self, words: str, times: int = 1) -> None:
        """Wait until the output has ``words``, so many times."""

        def found() -> bool:
            return sum(line.count(words) for line in list(self.output)) >= times

        try:
            wait_until(found)
        except AssertionError:
            raise AssertionError(f"never said {words!r}:\n{self.text}") from None

    @property
    def address(self) -> tuple[str, int]:
        self.says("http://")
        line = next(line for line in self.output if "http://" in line)
        host, _, port = line.strip().partition("://")[2].rpartition(":")
        return host, int(port)

    def connect(self) -> Client:
        return Client(self.address)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; the exit status."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status


def write_module(folder: Path, name: str, source: str) -> None:
    (folder / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")
