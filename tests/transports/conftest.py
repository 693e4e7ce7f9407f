"""The small project under real servers, and a client that speaks the wire protocol."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.commands import said
from tests.server.harness import PATIENCE, ServerProcess

ROOT = Path(__file__).parent.parent.parent


class Project:
    """A folder with a database and a broker of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.project.settings",
            "TEST_PROJECT_FOLDER": str(folder),
        }

    def shell(self, code: str) -> str:
        """Run code in the project's ``shell``: another process than the server's."""
        command = ("-m", "django", "shell", "--no-imports", "-c", code)
        return said(*command, env=self.environment).strip()

    def serve(self, workers: int = 1) -> ServerProcess:
        return ServerProcess(
            ROOT,
            "tests.project.asgi:application",
            "--bind=127.0.0.1:0",
            f"--workers={workers}",
            env=self.environment,
        )


class WireClient:
    """Speaks the wire protocol, one JSON object at a time."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._number = 0

    async def send(self, **message: Any) -> None:
        await self.connection.send(msgspec.json.encode(message).decode())

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            message: dict[str, Any] = msgspec.json.decode(await self.connection.recv())
            return message

    async def receive_kind(self, kind: str) -> dict[str, Any]:
        """The next message of a type; others before it are dropped."""
        while (message := await self.receive())["type"] != kind:
            pass
        return message

    async def ask(self, **message: Any) -> dict[str, Any]:
        """Send a request; its answer. Events before it are dropped."""
        self._number += 1
        await self.send(id=self._number, **message)
        while (answer := await self.receive()).get("id") != self._number:
            pass
        return answer


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    # Not tmp_path: a Unix socket's path has at most 107 bytes.
    with TemporaryDirectory(prefix="sw") as folder:
        project = Project(Path(folder))
        project.shell(
            "from django.core.management import call_command; call_command('migrate', verbosity=0)"
        )
        yield project


@pytest.fixture(scope="module")
def server(project: Project) -> Iterator[ServerProcess]:
    with project.serve() as server:
        server.says("layer: local")
        yield server


@asynccontextmanager
async def wire(
    server: ServerProcess, path: str = "/seaway/", **options: Any
) -> AsyncIterator[WireClient]:
    host, port = server.address
    options.setdefault("subprotocols", ["seaway.v1"])
    async with connect(f"ws://{host}:{port}{path}", **options) as connection:
        client = WireClient(connection)
        welcome = await client.receive()
        assert welcome["type"] == "welcome"
        yield client
