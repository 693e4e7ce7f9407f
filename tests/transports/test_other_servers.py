"""The same project under other ASGI servers: the whole topic protocol, and what is lost."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from seaway.transports.host import losses
from tests.server.harness import ServerProcess, wait_until
from tests.transports.conftest import ROOT, Project, WireClient

APP = "tests.project.asgi:application"
COMMANDS = {
    "uvicorn": ("uvicorn", APP, "--host=127.0.0.1", "--port={port}", "--workers={workers}"),
    "hypercorn": ("hypercorn", APP, "-b=127.0.0.1:{port}", "-w={workers}"),
    "granian": ("granian", "--interface=asgi", APP, "--host=127.0.0.1", "--port={port}",
                "--workers={workers}"),
    "daphne": ("daphne", "-b=127.0.0.1", "-p={port}", APP),
}  # fmt: skip
WITH_WORKERS = ("uvicorn", "hypercorn", "granian")


class OtherServer(ServerProcess):
    """One of them, on a free port."""

    def __enter__(self) -> "OtherServer":
        return self

    def __init__(self, name: str, project: Project, workers: int = 1) -> None:
        self.name = name
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        module, *rest = (each.format(port=self.port, workers=workers) for each in COMMANDS[name])
        self.start([sys.executable, "-m", module, *rest], ROOT, env=project.environment)

    def __exit__(self, *exc: object) -> None:
        # Workers of some servers do not die with their parent: it has to be asked first.
        self.process.send_signal(signal.SIGINT if self.name == "hypercorn" else signal.SIGTERM)
        with contextlib.suppress(Exception):
            self.process.wait(10)
        super().__exit__(*exc)

    @contextlib.asynccontextmanager
    async def wire(self, **options: Any) -> AsyncIterator[WireClient]:
        async with contextlib.AsyncExitStack() as stack:
            connection = await stack.enter_async_context(await self._connected(options))
            client = WireClient(connection)
            assert (await client.receive())["type"] == "welcome"
            yield client

    async def _connected(self, options: dict[str, Any]) -> connect:
        """A context manager that connects, once somebody listens."""
        options.setdefault("subprotocols", ["seaway.v1"])
        async with asyncio.timeout(30):
            while True:
                try:
                    async with connect(self.websocket_url):
                        return connect(self.websocket_url, **options)
                except (OSError, InvalidHandshake):
                    assert self.process.poll() is None, self.text
                    await asyncio.sleep(0.05)

    @property
    def websocket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/seaway/"

    def memory(self, project: Project) -> int:
        """Resident bytes of the server's processes, the broker's not."""
        mark = f"TEST_PROJECT_FOLDER={project.folder}".encode()
        total = 0
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if not entry.name.isdigit() or mark not in (entry / "environ").read_bytes():
                    continue
                if b"broker" not in (entry / "cmdline").read_bytes():
                    total += int((entry / "statm").read_text().split()[1])
        return total * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(scope="module", params=list(COMMANDS))
def other(request: pytest.FixtureRequest, project: Project) -> Iterator[OtherServer]:
    with OtherServer(request.param, project) as server:
        yield server


async def test_join_call_event_leave(other: OtherServer, project: Project) -> None:
    topic = f"streams/{other.name}"
    async with other.wire() as client:
        joined = await client.ask(type="join", topic=topic)
        assert (joined["recovered"], joined["offset"]) == (False, 0)
        await client.send(type="call", id=7, topic=topic, action="flood",
                          args={"count": 2, "size": 3})  # fmt: skip
        events = [await client.receive_kind("event") for _ in range(2)]
        assert [(event["offset"], event["data"]) for event in events] == [
            (1, [0, "xxx"]), (2, [1, "xxx"])
        ]  # fmt: skip
        assert (await client.ask(type="call", topic=topic, action="x"))["code"] == "unknown_action"
        assert (await client.ask(type="join", topic="closed"))["code"] == "forbidden"
        assert (await client.ask(type="join", topic="no/such"))["code"] == "unknown_topic"
        await client.send(type="ping")
        await client.receive_kind("pong")
        # From another process, that has nothing to do with this server.
        code = f"Stream.at(name={other.name!r}).publish('news', 'from the shell')"
        project.shell(f"from tests.project.topics import Stream; {code}")
        assert (await client.receive_kind("event"))["data"] == "from the shell"
        assert (await client.ask(type="leave", topic=topic))["type"] == "left"


async def test_resume_by_position(other: OtherServer) -> None:
    topic = f"streams/resume-{other.name}"
    async with other.wire() as client:
        epoch = (await client.ask(type="join", topic=topic))["epoch"]
        await client.ask(type="call", topic=topic, action="flood", args={"count": 5, "size": 1})
    async with other.wire() as client:
        since = {"epoch": epoch, "offset": 2}
        joined = await client.ask(type="join", topic=topic, since=since)
        assert (joined["recovered"], joined["offset"]) == (True, 2)
        assert [(await client.receive_kind("event"))["offset"] for _ in range(3)] == [3, 4, 5]
        lost = {"epoch": "another", "offset": 2}
        assert not (await client.ask(type="join", topic=topic, since=lost))["recovered"]


async def test_a_client_that_vanishes_leaves(other: OtherServer) -> None:
    async with other.wire() as watcher:
        own = (await watcher.ask(type="join", topic="crowd"))["members"]
        async with other.wire() as client:
            members = (await client.ask(type="join", topic="crowd"))["members"]
            (entered,) = (member for member in members if member not in own)
            while entered not in (await watcher.receive_kind("presence"))["entered"]:
                pass
            client.connection.transport.abort()
        assert (await watcher.receive_kind("presence"))["left"] == [entered["id"]]


async def test_a_slow_client_gets_everything_in_order(other: OtherServer, project: Project) -> None:
    """40 MB for one that does not read. The server's memory shows whether it is suspended."""
    topic = f"streams/slow-{other.name}"
    flood = {"count": 4000, "size": 10_000}
    async with other.wire(max_queue=1, compression=None) as slow, other.wire() as client:
        await slow.ask(type="join", topic=topic)
        await client.ask(type="join", topic=topic)
        before = other.memory(project)
        await client.ask(type="call", topic=topic, action="flood", args=flood)
        grown = other.memory(project) - before
        offsets = [(await slow.receive_kind("event"))["offset"] for _ in range(4000)]
        assert offsets == list(range(1, 4001))
    held_back = not any("back-pressure" in loss for loss in losses(other.name))
    assert (grown < 32 << 20) is held_back, f"{grown >> 20} MiB"


async def everything(client: WireClient) -> None:
    while True:
        await client.receive()


async def test_a_slow_client_without_history_is_closed_or_gets_all(
    other: OtherServer, project: Project
) -> None:
    topic = f"fleeting/{other.name}"
    flood = "[topic.publish('n', [n, 'x' * 10_000]) for n in range(3000)]"
    code = f"topic = Fleeting.at(name={other.name!r}); {flood}"
    async with other.wire(max_queue=1, compression=None) as slow:
        await slow.ask(type="join", topic=topic)
        await asyncio.to_thread(project.shell, f"from tests.project.topics import Fleeting; {code}")
        if any("back-pressure" in loss for loss in losses(other.name)):
            # This server takes whatever it is given, so that to us nobody is slow.
            offsets = [(await slow.receive_kind("event"))["offset"] for _ in range(3000)]
            assert offsets == list(range(1, 3001))
            return
        with pytest.raises(ConnectionClosed) as closed:
            await everything(slow)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4000


async def test_what_it_says_and_what_it_loses(other: OtherServer) -> None:
    """The claims of `seaway.transports.host`, tried."""
    lost = "; ".join(losses(other.name))
    async with other.wire() as client:
        names = [extension.name for extension in client.connection.protocol.extensions]
        assert ("permessage-deflate" not in names) is ("permessage-deflate" in lost)
    other.says(f"under {other.name}, with less than under seaway serve: no handoff")
    lines = [line for line in other.output if "with less than" in line]
    assert len(lines) == 1
    assert lost in lines[0]
    with pytest.raises(ConnectionClosed) as closed:
        async with connect(other.websocket_url, subprotocols=["chat.v9"]) as connection:  # type: ignore[list-item]
            await connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4501
    assert (closed.value.rcvd.reason == "") is ("no close reasons" in lost)
    with pytest.raises(InvalidStatus) as refused:
        async with connect(other.websocket_url, origin="https://evil.example"):  # type: ignore[arg-type]
            pass
    assert refused.value.response.status_code == 403
    assert (b"origin" not in (refused.value.response.body or b"")) is ("no close reasons" in lost)
    assert "Traceback" not in other.text


@pytest.mark.parametrize("name", WITH_WORKERS)
async def test_several_worker_processes_see_the_same_topics(name: str, project: Project) -> None:
    topic = f"streams/workers-{name}"
    with OtherServer(name, project, workers=2) as server:
        async with contextlib.AsyncExitStack() as stack:
            clients: dict[int, WireClient] = {}
            async with asyncio.timeout(30):
                while len(clients) < 2:
                    client = await stack.enter_async_context(server.wire())
                    pid = (await client.ask(type="join", topic=topic))["data"]["pid"]
                    clients.setdefault(pid, client)
            one, two = clients.values()
            await one.send(type="call", id=9, topic=topic, action="flood",
                           args={"count": 3, "size": 1})  # fmt: skip
            for client in (one, two):
                events = [await client.receive_kind("event") for _ in range(3)]
                assert [event["data"][0] for event in events] == [0, 1, 2]
        # Once in each process.
        wait_until(lambda: server.text.count("with less than") >= 2)
