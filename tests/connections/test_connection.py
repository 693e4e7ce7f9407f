"""One client of topics: what it asks, what it is answered, and what its going leaves behind."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from seaway.auth import Visitor
from seaway.conf import layer_home
from seaway.connections.connection import Connection
from seaway.connections.registry import ConnectionRegistry, Limits
from seaway.dialects.seaway import DIALECT
from seaway.server.handoff import Framing
from seaway.transports.relay import line_frame
from tests.connections.topics import Gate, Plain, Room
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


class Line:
    """A sink that a test can stop from taking more."""

    def __init__(self) -> None:
        self.framing: Framing = line_frame
        self.writable = True
        self.reading = True
        self.closed_with: tuple[int, str] | None = None
        self.messages: list[dict[str, Any]] = []

    def write(self, frame: bytes) -> None:
        self.messages += [msgspec.json.decode(line) for line in frame.splitlines()]

    def close(self, code: int, reason: str = "") -> None:
        self.closed_with = (code, reason)
        self.writable = False

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True


class Client:
    def __init__(self, registry: ConnectionRegistry) -> None:
        self.line = Line()
        self.connection = Connection(registry, Visitor(), DIALECT)
        self.connection.start(self.line)

    def ask(self, **message: Any) -> None:
        self.connection.on_message(msgspec.json.encode(message).decode())

    async def answer(self, number: int) -> dict[str, Any]:
        await until(lambda: any(m.get("id") == number for m in self.line.messages))
        return next(m for m in self.line.messages if m.get("id") == number)


@pytest.fixture
async def registry() -> AsyncIterator[ConnectionRegistry]:
    home = layer_home()
    await home.adopt()
    registry = ConnectionRegistry(home.hub, Limits(joins=3, requests=4))
    Gate.opened, Gate.begun, Gate.finished, Gate.left = asyncio.Event(), 0, 0, 0
    Room.gone.clear()
    yield registry
    Gate.opened.set()
    for connection in list(registry.connections):
        connection.on_close(1000, "")
    await registry.drain(5)
    await home.release()


@pytest.fixture
def client(registry: ConnectionRegistry) -> Client:
    return Client(registry)


def test_the_first_message_is_a_welcome(client: Client) -> None:
    assert client.line.messages == [
        {"type": "welcome", "version": 1, "connection": client.connection.id, "ping": 25000}
    ]


def test_a_ping_is_answered(client: Client) -> None:
    client.ask(type="ping")
    assert client.line.messages[-1] == {"type": "pong"}


def test_a_message_of_another_protocol_closes(client: Client) -> None:
    client.connection.on_message("hello")
    assert client.line.closed_with is not None
    code, reason = client.line.closed_with
    assert code == 4500
    assert reason


async def test_join_call_event_leave(client: Client) -> None:
    client.ask(type="join", id=1, topic="rooms/lobby")
    joined = await client.answer(1)
    assert joined["type"] == "joined"
    assert joined["data"] == {"room": "lobby"}
    assert joined["recovered"] is False
    assert [member["id"] for member in joined["members"]] == [client.connection.id]
    client.ask(type="call", id=2, topic="rooms/lobby", action="say", args={"text": "hi"})
    assert (await client.answer(2))["data"] == 1
    await until(lambda: client.line.messages[-1]["type"] in ("event", "presence"))
    events = [m for m in client.line.messages if m["type"] == "event"]
    assert [(m["event"], m["data"], m["offset"]) for m in events] == [("said", {"text": "hi"}, 1)]
    client.ask(type="leave", id=3, topic="rooms/lobby")
    assert (await client.answer(3)) == {"type": "left", "id": 3, "topic": "rooms/lobby"}
    assert Room.gone == [f"lobby:{client.connection.id}"]
    assert client.connection.joined == {}


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"type": "join", "topic": "nowhere"}, "unknown_topic"),
        ({"type": "join", "topic": "two words"}, "unknown_topic"),
        ({"type": "join", "topic": "rooms/closed"}, "closed"),
        ({"type": "call", "topic": "rooms/lobby", "action": "say"}, "not_joined"),
        ({"type": "leave", "topic": "rooms/lobby"}, "not_joined"),
    ],
)
async def test_what_cannot_be_is_an_error(
    client: Client, request_: dict[str, Any], code: str
) -> None:
    client.ask(id=9, **request_)
    answer = await client.answer(9)
    assert (answer["type"], answer["code"]) == ("error", code)
    await until(lambda: client.connection.joined == {})


async def test_a_refusal_carries_data(client: Client) -> None:
    client.ask(type="join", id=1, topic="rooms/closed")
    assert (await client.answer(1))["data"] == {"room": "closed"}


@pytest.mark.parametrize(
    ("action", "args", "code"),
    [
        ("shout", {}, "unknown_action"),
        ("join", {}, "unknown_action"),
        ("say", {}, "invalid_arguments"),
        ("say", {"text": 1}, "invalid_arguments"),
        ("say", {"text": "a", "loud": True}, "invalid_arguments"),
    ],
)
async def test_a_call_that_cannot_be_is_an_error(
    client: Client, action: str, args: dict[str, Any], code: str
) -> None:
    client.ask(type="join", id=1, topic="rooms/lobby")
    client.ask(type="call", id=2, topic="rooms/lobby", action=action, args=args)
    assert (await client.answer(2))["code"] == code


async def test_one_topics_requests_are_answered_in_order(client: Client) -> None:
    client.ask(type="join", id=1, topic="rooms/lobby")
    for number in range(2, 6):
        client.ask(type="call", id=number, topic="rooms/lobby", action="count", args={"to": number})
    client.ask(type="leave", id=6, topic="rooms/lobby")
    await client.answer(6)
    ids = [message["id"] for message in client.line.messages if "id" in message]
    assert ids == [1, 2, 3, 4, 5, 6]


async def test_topics_do_not_wait_for_each_other(client: Client) -> None:
    client.ask(type="join", id=1, topic="gates/0")
    client.ask(type="join", id=2, topic="rooms/lobby")
    await client.answer(2)
    assert not any(message.get("id") == 1 for message in client.line.messages)
    Gate.opened.set()
    assert (await client.answer(1))["data"] == 0


async def test_too_many_topics(client: Client) -> None:
    for number in range(3):
        client.ask(type="join", id=number, topic=f"plain/{number}")
    client.ask(type="join", id=3, topic="plain/3")
    assert (await client.answer(3))["code"] == "overloaded"
    client.ask(type="leave", id=4, topic="plain/0")
    await client.answer(4)
    client.ask(type="join", id=5, topic="plain/3")
    assert (await client.answer(5))["type"] == "joined"


async def test_unanswered_requests_stop_the_reading(client: Client) -> None:
    client.ask(type="join", id=1, topic="gates/1")
    await client.answer(1)
    for number in range(2, 6):
        client.ask(type="call", id=number, topic="gates/1", action="wait")
    assert not client.line.reading
    Gate.opened.set()
    await client.answer(5)
    assert client.line.reading


async def test_a_client_that_does_not_read_is_not_read_from(client: Client) -> None:
    client.line.writable = False
    client.ask(type="ping")
    assert not client.line.reading
    client.line.writable = True
    client.connection.on_writable()
    assert client.line.reading


async def test_closing_finishes_the_request_under_way_and_drops_the_rest(
    client: Client, registry: ConnectionRegistry
) -> None:
    client.ask(type="join", id=1, topic="gates/1")
    await client.answer(1)
    client.ask(type="call", id=2, topic="gates/1", action="wait")
    client.ask(type="call", id=3, topic="gates/1", action="wait")
    await until(lambda: Gate.begun == 1)
    client.connection.on_close(1006, "")
    Gate.opened.set()
    await registry.drain(5)
    assert (Gate.begun, Gate.finished, Gate.left) == (1, 1, 1)
    assert not any(message.get("id") in (2, 3) for message in client.line.messages)


async def test_closing_during_a_join_undoes_it(
    client: Client, registry: ConnectionRegistry
) -> None:
    client.ask(type="join", id=1, topic="gates/0")
    await asyncio.sleep(0)
    client.connection.on_close(1006, "")
    Gate.opened.set()
    await registry.drain(5)
    assert Gate.left == 1
    other = Client(registry)
    other.ask(type="join", id=1, topic="gates/0")
    await other.answer(1)
    await Gate.at(number=0).apublish("x")
    await until(lambda: other.line.messages[-1]["type"] == "event")
    assert client.line.messages[-1]["type"] == "welcome"


async def test_members_come_and_go(registry: ConnectionRegistry) -> None:
    ann, bob = Client(registry), Client(registry)
    ann.ask(type="join", id=1, topic="rooms/lobby")
    await ann.answer(1)
    bob.ask(type="join", id=1, topic="rooms/lobby")
    members = (await bob.answer(1))["members"]
    assert {member["id"] for member in members} == {ann.connection.id, bob.connection.id}
    assert [member["id"] for member in await Room.at(room="lobby").amembers()] == [
        member["id"] for member in members
    ]
    bob.connection.on_close(1001, "")
    await until(lambda: bob.connection.id in ann.line.messages[-1].get("left", ()))


async def test_resuming_replays_and_tells_that_nothing_was_missed(client: Client) -> None:
    client.ask(type="join", id=1, topic="rooms/lobby")
    joined = await client.answer(1)
    for text in "abc":
        await Room.at(room="lobby").apublish("said", text)
    later = Client(client.connection.registry)
    since = {"epoch": joined["epoch"], "offset": joined["offset"] + 1}
    later.ask(type="join", id=1, topic="rooms/lobby", since=since)
    answer = await later.answer(1)
    assert answer["recovered"] is True
    assert answer["offset"] == since["offset"]
    await until(lambda: sum(m["type"] == "event" for m in later.line.messages) == 2)
    assert [m["data"] for m in later.line.messages if m["type"] == "event"] == ["b", "c"]


async def test_a_position_that_is_gone_gives_a_fresh_snapshot(client: Client) -> None:
    since = {"epoch": "long ago", "offset": 3}
    client.ask(type="join", id=1, topic="rooms/lobby", since=since)
    answer = await client.answer(1)
    assert answer["recovered"] is False
    assert answer["data"] == {"room": "lobby"}


async def test_joining_again_renews_and_keeps_the_membership(client: Client) -> None:
    client.ask(type="join", id=1, topic="rooms/lobby")
    client.ask(type="join", id=2, topic="rooms/lobby")
    await client.answer(2)
    await Room.at(room="lobby").apublish("said", "once")
    await until(lambda: any(m["type"] == "event" for m in client.line.messages))
    assert sum(m["type"] == "event" for m in client.line.messages) == 1
    assert Room.gone == []


async def test_idle_connections_have_no_task(registry: ConnectionRegistry) -> None:
    clients = [Client(registry) for _ in range(20)]
    before = len(asyncio.all_tasks())
    for client in clients:
        client.ask(type="join", id=1, topic="plain/1")
    for client in clients:
        await client.answer(1)
    await until(lambda: len(asyncio.all_tasks()) == before)
    await Plain.at(number=1).apublish("x")
    await until(lambda: all(c.line.messages[-1]["type"] == "event" for c in clients))
    assert len(asyncio.all_tasks()) == before
