"""The project as a test runs it: real processes with a broker of their own.

What lives here: starting, stopping, and a TCP connection to a worker of one's choice.
What must not: the transports' protocols.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trustme

import seaway
from tests import waiting
from tests.commands import end
from tests.servers.ports import free_port

ROOT = Path(__file__).resolve().parents[4]
SOURCE = Path(seaway.__file__).parent.parent
APPLICATION = "tests.transports.fallback.site.asgi:application"
SEAWAY = (
    f"seaway.server.cli serve {APPLICATION} --bind=127.0.0.1:{{port}} --workers={{workers}} "
    "--drain-timeout=10"
)
#: The same over TLS, with a line for each scope (`Site.scopes`).
SECURE = SEAWAY.replace(":application", ":noted") + " --certfile={directory}/certificate.pem"
#: Seconds that anything may take before a test gives up; far more than it needs.
PATIENCE = 60.0


wait_for = functools.partial(waiting.wait_for, patience=PATIENCE)


class Line:
    """One TCP connection, so one worker."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.http: http.client.HTTPConnection
        if tls is None:
            self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        else:
            secure = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=tls)
            self.http = secure
        self._stream: socket.socket | None = None
        self.pid = int(self.request("GET", "/pid").body)

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        self.http.request(method, path, body=data, headers=headers or {})
        return Reply(self.http.getresponse())

    def stream(self, path: str, headers: dict[str, str] | None = None) -> http.client.HTTPResponse:
        """A response whose body has no end."""
        self.http.request("GET", path, headers=headers or {})
        self._stream = self.http.sock
        return self.http.getresponse()

    def close(self) -> None:
        # A response that is being read holds the socket open.
        for each in (self.http.sock, self._stream):
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        self.http.close()


class Reply:
    """A whole response."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Site:
    """``seaway serve`` for the project, or another ASGI server.

    :param command: the module of the server and its options; ``{port}`` stands for the port.
    """

    def __init__(
        self, directory: Path, *, workers: int = 2, command: str = SEAWAY, **environment: str
    ) -> None:
        self.port = free_port()
        self.directory = directory
        self.tls: ssl.SSLContext | None = None
        if command is SECURE:
            authority = trustme.CA()
            certificate = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
            certificate.write_to_path(directory / "certificate.pem")
            self.tls = ssl.create_default_context()
            authority.configure_trust(self.tls)
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/"
        self.log = directory / f"server-{self.port}.log"
        self.lines: list[Line] = []
        self.workers = workers
        options = command.format(port=self.port, workers=workers, directory=directory).split()
        self.command = [sys.executable, "-m", *options]
        self.environment = {
            **os.environ,
            "PYTHONPATH": f"{SOURCE}{os.pathsep}{ROOT}",
            "DJANGO_SETTINGS_MODULE": "tests.transports.fallback.site.settings",
            "SITE_DIRECTORY": str(directory),
            **environment,
        }
        self._start()

    def _start(self) -> None:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        wait_for(self._answers, f"An answer at {self.url}")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.line().pid > 0
        except (OSError, http.client.HTTPException):
            return False

    def line(self, pid: int | None = None, *, other_than: int | None = None) -> Line:
        """A connection to the worker ``pid``, to another one, or to any."""
        wrong: list[Line] = []
        try:
            for _ in range(500):
                line = Line(self.port, self.tls)
                if pid in (None, line.pid) and line.pid != other_than:
                    self.lines.append(line)
                    return line
                # Held, because new connections go to the worker that has fewer.
                wrong.append(line)
        finally:
            for line in wrong:
                line.close()
        raise AssertionError(f"No connection to worker {pid or f'other than {other_than}'}.")

    def scopes(self) -> list[str]:
        """What the application was asked for so far: type, HTTP version, scheme and path."""
        return (self.directory / "scopes").read_text().splitlines()

    def publish(self, topic: str, event: str, data: Any = None) -> Any:
        """Publish from outside."""
        reply = self.line().request(
            "POST",
            "/seaway/publish",
            {"topic": topic, "event": event, "data": data},
            {"Authorization": "Bearer a-key-for-tests-that-is-long-enough-0123456789"},
        )
        assert reply.status == 200, reply.body
        return reply.json

    def stop(self) -> None:
        try:
            end(self.process, PATIENCE)
        finally:
            for line in self.lines:
                line.close()


@contextlib.contextmanager
def serving(*, workers: int = 2, command: str = SEAWAY, **environment: str) -> Iterator[Site]:
    """A site of its own; its log shows no traceback at the end."""
    # Short: the path of the broker's socket has to fit into 107 bytes.
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        site = Site(Path(directory), workers=workers, command=command, **environment)
        try:
            yield site
        finally:
            site.stop()
        log = site.log.read_text()
        assert "Traceback" not in log, log
