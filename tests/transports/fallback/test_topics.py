"""The whole topic protocol over each fallback transport, with what is sent through another worker
than the one that has the connection."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable

import pytest

from tests.transports.fallback.clients import TopicClient
from tests.transports.fallback.site.served import Site, serving, wait_for

Connect = Callable[..., TopicClient]
_rooms = itertools.count()


@pytest.fixture
def room() -> str:
    """A topic that no other test uses."""
    return f"rooms/r{next(_rooms)}-{os.getpid()}"


def test_the_first_message_is_a_welcome(site: Site, connect: Connect) -> None:
    client = connect(site)
    welcome = client.messages[0]
    assert welcome["type"] == "welcome"
    assert welcome["version"] == 1
    assert client.ticket


def test_join_call_event_leave(site: Site, connect: Connect, room: str) -> None:
    client = connect(site)
    joined = client.join(room)
    assert joined["type"] == "joined"
    assert joined["data"] == {"room": room.removeprefix("rooms/"), "name": None}
    assert client.call(room, "pid") == client.pid, "the action runs where the connection lives"
    client.call(room, "say", text="hello")
    assert client.events(1) == [{"text": "hello"}]
    assert client.ask("leave", room)["type"] == "left"
    assert client.ask("call", room, action="pid")["code"] == "not_joined"


def test_a_ping_is_answered(site: Site, connect: Connect) -> None:
    client = connect(site)
    assert client.send({"type": "ping"}).status == 204
    client.first(lambda message: message["type"] == "pong")


def test_events_from_another_worker_come_in_order_each_once(
    site: Site, connect: Connect, room: str
) -> None:
    ann = connect(site)
    bob = connect(site, ann.up.pid)
    assert ann.pid != bob.pid
    ann.join(room)
    bob.join(room)
    for number in range(30):
        (ann, bob)[number % 2].call(room, "say", text=str(number))
    expected = [{"text": str(number)} for number in range(30)]
    assert ann.events(30) == bob.events(30) == expected


def test_members_see_each_other_come_and_go(site: Site, connect: Connect, room: str) -> None:
    ann = connect(site)
    ann.join(room)
    bob = connect(site, ann.up.pid)
    joined = bob.join(room)
    assert {member["pid"] for member in joined["members"]} == {ann.pid, bob.pid}
    bob_id = bob.messages[0]["connection"]
    ann.first(lambda m: bob_id in [member["id"] for member in m.get("entered", ())])
    bob.close()
    ann.first(lambda m: bob_id in m.get("left", ()))


def test_a_refused_join_says_why(site: Site, connect: Connect) -> None:
    answer = connect(site).join("rooms/members")
    assert answer["code"] == "nameless"
    assert answer["data"] == {"room": "members"}


def test_the_visitor_is_the_session_cookies(site: Site, connect: Connect) -> None:
    cookie = site.line().request("GET", "/login/ann").headers["Set-Cookie"].partition(";")[0]
    client = connect(site, cookie=cookie)
    assert client.join("rooms/members")["data"]["name"] == "ann"


def test_a_message_of_another_protocol_closes(site: Site, connect: Connect) -> None:
    client = connect(site)
    client.send({"type": "dance"})
    wait_for(lambda: client.closed_with, "The close")
    assert client.closed_with is not None
    assert client.closed_with["code"] == 4500


def test_large_messages_pass_both_ways(site: Site, connect: Connect, room: str) -> None:
    """Larger than what may wait for a client, and nearly what a publication may have."""
    client = connect(site)
    client.join(room)
    text = "seaway " * 140_000
    assert client.call(room, "echo", text=text) == text
    assert client.call(room, "echo", text="small") == "small"


def test_a_repeated_post_takes_effect_once(site: Site, connect: Connect, room: str) -> None:
    client = connect(site)
    client.join(room)
    before = client.call(room, "say", text="one")
    call = {"type": "call", "topic": room, "action": "say", "args": {"text": "two"}, "id": 99}
    assert client.send(call).status == 204
    for _ in range(3):
        assert client.send(call, number=client.number - 1).status == 204
        client.number -= 1
    assert client.answer(99)["data"] == before + 1
    assert client.call(room, "say", text="three") == before + 2


def test_a_missing_post_ends_the_connection(site: Site, connect: Connect, room: str) -> None:
    client = connect(site)
    reply = client.send({"type": "ping"}, number=3)
    assert reply.status == 410
    assert reply.json["code"] == "gone"


def test_a_busy_connection_takes_the_same_post_later(
    site: Site, connect: Connect, room: str
) -> None:
    client = connect(site)
    client.join(room)
    calls = [
        {"type": "call", "id": 100 + n, "topic": room, "action": "wait", "args": {"seconds": 0.05}}
        for n in range(8)
    ]
    client.send(*calls)
    late = {"type": "call", "id": 200, "topic": room, "action": "echo", "args": {"text": "late"}}
    statuses = [client.send(late).status]
    while statuses[-1] == 429:
        statuses.append(client.send(late, number=client.number).status)
        client.number -= 1
    assert statuses[0] == 429
    assert statuses[-1] == 204
    assert client.answer(200)["data"] == "late"


def test_after_a_loss_a_client_resumes_at_another_worker(
    site: Site, connect: Connect, room: str
) -> None:
    client = connect(site)
    joined = client.join(room)
    client.call(room, "say", text="before")
    client.events(1)
    client.close()
    for number in range(5):
        site.publish(room, "said", {"text": f"meanwhile {number}"})
    again = connect(site, client.up.pid)
    since = {"epoch": joined["epoch"], "offset": joined["offset"] + 1}
    resumed = again.join(room, since=since)
    assert resumed["recovered"] is True
    assert again.events(5) == [{"text": f"meanwhile {number}"} for number in range(5)]


def test_what_is_gone_from_history_is_told(site: Site, connect: Connect, room: str) -> None:
    feed = room.replace("rooms/", "feeds/")
    client = connect(site)
    joined = client.join(feed)
    client.close()
    for number in range(9):
        site.publish(feed, "said", number)
    again = connect(site, client.up.pid)
    resumed = again.join(feed, since={"epoch": joined["epoch"], "offset": joined["offset"]})
    assert resumed["recovered"] is False
    assert resumed["offset"] == joined["offset"] + 9


def test_a_killed_worker_costs_no_event(connect: Connect, room: str) -> None:
    with serving() as site:
        client = connect(site)
        joined = client.join(room)
        client.call(room, "say", text="0")
        client.events(1)
        os.kill(client.pid, signal.SIGKILL)
        wait_for(lambda: client.lost, "The loss")
        reply = client.send({"type": "ping"})
        assert reply.status == 410, "the process that has the connection is gone"
        for number in range(1, 4):
            site.publish(room, "said", {"text": str(number)})
        again = connect(site, client.up.pid)
        offset = joined["offset"] + 1
        resumed = again.join(room, since={"epoch": joined["epoch"], "offset": offset})
        assert resumed["recovered"] is True
        assert again.events(3) == [{"text": str(number)} for number in range(1, 4)]


def test_a_server_that_ends_says_so(connect: Connect) -> None:
    with serving() as site:
        client = connect(site)
    wait_for(lambda: client.closed_with, "The close")
    assert client.closed_with == {"code": 1012, "reason": "service restart"}
