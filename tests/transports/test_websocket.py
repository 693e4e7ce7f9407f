"""Topics over a real server's WebSocket: the handshake, bad input, slow clients, a lost broker."""

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.harness import ServerProcess, masked, wait_until
from tests.transports.conftest import Project, wire


async def test_a_client_without_subprotocol_speaks_version_1(server: ServerProcess) -> None:
    async with wire(server, subprotocols=None) as client:
        answer = await client.ask(type="join", topic="streams/a")
        assert answer["type"] == "joined"


async def test_unknown_subprotocols_are_refused_with_4501(server: ServerProcess) -> None:
    host, port = server.address
    with pytest.raises(ConnectionClosed) as closed:
        async with connect(f"ws://{host}:{port}/seaway/", subprotocols=["chat.v9"]) as connection:  # type: ignore[list-item]
            await connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4501
    assert "seaway.v1" in closed.value.rcvd.reason


@pytest.mark.parametrize(
    ("path", "origin", "status", "words"),
    [
        ("/seaway/", "https://evil.example", 403, b"ALLOWED_HOSTS"),
        ("/seaway/", "null", 403, b"ALLOWED_ORIGINS"),
        ("/elsewhere/", None, 404, b"/seaway/"),
    ],
)
async def test_a_refused_handshake_says_why(
    server: ServerProcess, path: str, origin: str | None, status: int, words: bytes
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with wire(server, path, origin=origin):
            raise AssertionError("it was let in")
    assert refused.value.response.status_code == status
    assert words in refused.value.response.body


async def test_an_allowed_origin_comes_in(server: ServerProcess) -> None:
    async with wire(server, origin="http://localhost:8000") as client:
        await client.send(type="ping")
        assert await client.receive() == {"type": "pong"}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('{"type":"join","id":1,"topic":"no/such/route"}', "unknown_topic"),
        ('{"type":"join","id":1,"topic":"closed"}', "forbidden"),
        ('{"type":"join","id":1,"topic":"members"}', "forbidden"),
        ('{"type":"call","id":1,"topic":"streams/a","action":"flood"}', "not_joined"),
    ],
)
async def test_what_is_refused_leaves_the_connection_open(
    server: ServerProcess, message: str, code: str
) -> None:
    async with wire(server) as client:
        await client.connection.send(message)
        answer = await client.receive()
        assert (answer["type"], answer["id"], answer["code"]) == ("error", 1, code)
        await client.send(type="ping")
        assert (await client.receive())["type"] == "pong"


@pytest.mark.parametrize(
    "message", ["hello", "[]", '{"type":"dance"}', '{"type":"join","id":"1","topic":"t"}', b"\0"]
)
async def test_messages_of_another_protocol_close_with_4500(
    server: ServerProcess, message: Any
) -> None:
    async with wire(server) as client:
        await client.connection.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            await client.receive()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4500


async def test_a_payload_that_cannot_be_encoded_is_the_publishers_error(
    server: ServerProcess,
) -> None:
    async with wire(server) as client:
        await client.ask(type="join", topic="streams/a")
        answer = await client.ask(type="call", topic="streams/a", action="unencodable")
        assert answer["code"] == "failed"
    server.says("UnencodablePayload")


async def test_an_invented_session_is_nobody(server: ServerProcess) -> None:
    cookie = {"Cookie": "sessionid=inventedinventedinventedinvented"}
    async with wire(server, additional_headers=cookie) as client:
        assert (await client.ask(type="join", topic="members"))["code"] == "forbidden"


async def test_a_log_out_takes_effect_on_an_open_connection(
    project: Project, server: ServerProcess
) -> None:
    key = project.shell(
        "from django.contrib.auth.models import User\n"
        "from django.test import Client\n"
        "user, _ = User.objects.get_or_create(username='ann')\n"
        "client = Client(); client.force_login(user)\n"
        "print(client.session.session_key)"
    )
    cookie = {"Cookie": f"sessionid={key}"}
    async with wire(server, additional_headers=cookie) as client:
        assert (await client.ask(type="join", topic="members"))["data"] == "ann"
        project.shell(
            "from django.contrib.sessions.models import Session\n"
            f"Session.objects.filter(pk={key!r}).delete()"
        )
        assert (await client.ask(type="join", topic="members"))["code"] == "forbidden"


async def test_a_shell_publishes_to_the_servers_clients(
    project: Project, server: ServerProcess
) -> None:
    async with wire(server) as client:
        await client.ask(type="join", topic="streams/news")
        project.shell(
            "from tests.project.topics import Stream\n"
            "Stream.at(name='news').publish('hello', {'from': 'the shell'})"
        )
        event = await client.receive_kind("event")
        assert (event["event"], event["data"]) == ("hello", {"from": "the shell"})


def _stuffed(server: ServerProcess, topic: str) -> socket.socket:
    """A client that has joined and does not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.connect(server.address)
    request = (
        "GET /seaway/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    )
    sock.sendall(request.encode())
    sock.sendall(masked(1, f'{{"type":"join","id":1,"topic":"{topic}"}}'.encode()))
    seen = b""
    while b'"joined"' not in seen:
        seen += sock.recv(65536)
    return sock


def _read_frames(sock: socket.socket, enough: bytes) -> bytes:
    """Everything until ``enough`` was read."""
    sock.settimeout(10)
    seen = bytearray()
    while enough not in seen[-100_000:]:
        data = sock.recv(65536)
        if not data:
            break
        seen += data
    return bytes(seen)


async def test_a_client_that_stops_reading_catches_up_from_history(server: ServerProcess) -> None:
    count = 3000  # of 2 kB: far more than the kernel's buffers and the server's hold
    slow = await asyncio.to_thread(_stuffed, server, "streams/slow")
    async with wire(server) as client:
        await client.ask(type="join", topic="streams/slow")
        args = {"count": count, "size": 2000}
        await client.ask(type="call", topic="streams/slow", action="flood", args=args)
    seen = await asyncio.to_thread(_read_frames, slow, b'"offset":%d,' % count)
    slow.close()
    position = 0
    for offset in range(1, count + 1):
        position = seen.find(b'"offset":%d,"event":"n"' % offset, position)
        assert position >= 0, f"event {offset} is missing or out of order"
    assert seen.count(b'"type":"event"') == count
    assert b'"gap"' not in seen


async def test_a_client_that_stops_reading_a_topic_without_history_is_closed(
    server: ServerProcess,
) -> None:
    slow = await asyncio.to_thread(_stuffed, server, "fleeting/slow")
    async with wire(server) as client:
        await client.ask(type="join", topic="fleeting/slow")
        args = {"count": 5000, "size": 2000}
        await client.ask(type="call", topic="fleeting/slow", action="flood", args=args)
    seen = await asyncio.to_thread(_read_frames, slow, b"keeps no history")
    slow.close()
    assert (4000).to_bytes(2, "big") + b"too slow" in seen


async def test_a_lost_broker_is_replaced_and_clients_are_told(
    project: Project, server: ServerProcess
) -> None:
    async with wire(server) as client:
        before = await client.ask(type="join", topic="streams/broker")
        broker = _broker_of(project)
        os.kill(broker, signal.SIGKILL)
        assert await client.receive_kind("gap") == {"type": "gap", "topic": "streams/broker"}
        after = await client.ask(
            type="join",
            topic="streams/broker",
            since={"epoch": before["epoch"], "offset": before["offset"]},
        )
        assert after["recovered"] is False
        assert after["epoch"] != before["epoch"]
        args = {"count": 1, "size": 1}
        await client.send(type="call", id=99, topic="streams/broker", action="flood", args=args)
        assert (await client.receive_kind("event"))["offset"] == after["offset"] + 1
    assert _broker_of(project) != broker


def _broker_of(project: Project) -> int:
    """The process id of the broker that serves this project's folder."""

    def find() -> int:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                command = process.read_bytes()
                if b"layers.local.broker" in command and bytes(project.folder) in command:
                    return int(process.parent.name)
        return 0

    pid: int = wait_until(find, "a broker")
    return pid
