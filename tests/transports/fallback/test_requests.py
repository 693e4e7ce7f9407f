"""What stands between a stranger's request and a visitor's connection: tickets, origins, shapes."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.core import signing

from seaway.auth import Visitor
from seaway.transports import ticket as tickets
from seaway.transports.ticket import Ticket, TicketRefused, check_ticket, holder_of
from tests.transports.fallback.clients import PollClient, StreamClient
from tests.transports.fallback.site.served import Site

PATHS = ["send", "poll"]


@pytest.fixture(scope="module")
def client(site: Site) -> Any:
    client = StreamClient(site)
    yield client
    client.close()


# Tickets -----------------------------------------------------------------------------------------


def test_a_ticket_says_what_it_was_made_of() -> None:
    ann = Visitor("a" * 32)
    ticket = Ticket("connection", "address", holder_of(ann))
    assert check_ticket(ticket.sign(), ann) == ticket


def test_a_ticket_does_not_tell_the_session_key() -> None:
    ann = Visitor("a" * 32)
    assert "aaaa" not in Ticket("connection", "address", holder_of(ann)).sign()


@pytest.mark.parametrize("other", [None, "b" * 32])
def test_a_ticket_is_no_good_for_another_session(other: str | None) -> None:
    text = Ticket("connection", "address", holder_of(Visitor("a" * 32))).sign()
    with pytest.raises(TicketRefused, match="another session"):
        check_ticket(text, Visitor(other))


def test_a_ticket_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    ann = Visitor("a" * 32)
    text = Ticket("connection", "address", holder_of(ann)).sign()
    later = time.time() + tickets.LIFE_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(TicketRefused, match="expired"):
        check_ticket(text, ann)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "\0",
        "a:b:c",
        signing.dumps(["connection", "address", "holder"], salt="another purpose"),
        signing.dumps(["too", "short"], salt="seaway.ticket"),
        signing.dumps({"no": "list"}, salt="seaway.ticket"),
        signing.dumps(["connection", "address", "holder"], key="another", salt="seaway.ticket"),
    ],
    ids=["empty", "words", "zero", "colons", "purpose", "short", "no list", "key"],
)
def test_what_is_no_ticket_is_refused(text: str) -> None:
    with pytest.raises(TicketRefused):
        check_ticket(text, Visitor())


@pytest.mark.parametrize("path", PATHS)
def test_a_forged_ticket_is_refused_in_words(site: Site, client: StreamClient, path: str) -> None:
    head, _, signature = client.ticket.rpartition(":")
    forged = f"{head}:{signature[::-1]}"
    body = {"ticket": forged, "number": 1, "messages": [{"type": "ping"}]}
    reply = site.line().request("POST", f"/seaway/{path}", body)
    assert reply.status == 403
    assert reply.json["code"] == "ticket_refused"
    assert "not one of this server's" in reply.json["message"]


@pytest.mark.parametrize("path", PATHS)
def test_a_foreign_ticket_is_refused(site: Site, client: StreamClient, path: str) -> None:
    """One that was copied from another visitor."""
    cookie = site.line().request("GET", "/login/eve").headers["Set-Cookie"].partition(";")[0]
    body = {"ticket": client.ticket, "number": 1, "messages": [{"type": "ping"}]}
    reply = site.line().request("POST", f"/seaway/{path}", body, {"Cookie": cookie})
    assert reply.status == 403
    assert "another session" in reply.json["message"]


def test_a_ticket_of_an_event_stream_is_no_good_for_polling(
    site: Site, client: StreamClient
) -> None:
    for pid in (client.pid, client.up.pid):
        reply = site.line(pid).request("POST", "/seaway/poll", {"ticket": client.ticket, "ack": 0})
        assert reply.status == 410


# Origins -----------------------------------------------------------------------------------------

REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "sse", None),
    ("GET", "topics/feeds/a", None),
    ("POST", "send", {"ticket": "t", "number": 1, "messages": []}),
    ("POST", "poll", {}),
]
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Referer": "https://evil.example/page"},
    {"Referer": "https://[broken"},
]


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_origin_is_refused(
    site: Site, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    reply = site.line().request(method, f"/seaway/{path}", body, headers)
    assert reply.status == 403
    assert reply.json["code"] == "forbidden_origin"
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize("headers", [
    {},
    {"Origin": "http://127.0.0.1:1"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Referer": "http://127.0.0.1/page?x=1"},
    {"Origin": "https://friend.example", "Sec-Fetch-Site": "cross-site"},
], ids=str)  # fmt: skip
def test_others_may_connect(site: Site, headers: dict[str, str]) -> None:
    reply = site.line().request("POST", "/seaway/poll", {}, headers)
    assert reply.status == 200
    assert reply.json["messages"][0]["type"] == "welcome"
    assert reply.headers.get("access-control-allow-origin") == headers.get("Origin")
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_a_preflight_is_answered(site: Site, method: str, path: str, body: Any) -> None:
    asking = {"Origin": "https://friend.example", "Access-Control-Request-Method": method}
    reply = site.line().request("OPTIONS", f"/seaway/{path}", headers=asking)
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == "https://friend.example"
    assert reply.headers["access-control-allow-methods"] == method
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert "content-type" in reply.headers["access-control-allow-headers"]
    foreign = {**asking, "Origin": "https://evil.example"}
    assert site.line().request("OPTIONS", f"/seaway/{path}", headers=foreign).status == 403


# Shapes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
def test_another_method_is_refused(site: Site, method: str, path: str, body: Any) -> None:
    reply = site.line().request("DELETE", f"/seaway/{path}")
    assert reply.status == 405
    assert method in reply.headers["allow"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"\xff", b'{"ticket":1}',
    b'{"ticket":"t","ack":-1,"number":1,"messages":{}}',
    b'{"ticket":"t","number":0,"messages":[1]}', b'{"ticket":"t","number":1.5,"messages":[]}',
])  # fmt: skip
def test_what_is_no_request_is_refused(site: Site, path: str, body: bytes) -> None:
    reply = site.line().request("POST", f"/seaway/{path}", body)
    assert reply.status == 400
    assert reply.json["code"] == "invalid_request"


@pytest.mark.parametrize("path", PATHS)
def test_a_body_over_the_limit_is_refused(site: Site, path: str) -> None:
    reply = site.line().request("POST", f"/seaway/{path}", b" " * 1_100_000)
    assert reply.status == 413


def test_other_paths_are_djangos(site: Site) -> None:
    for path in ("/seaway/", "/seaway/other", "/seaway/topics/", "/seaway/ssex"):
        reply = site.line().request("GET", path)
        assert reply.status == 404
        assert b"Not Found" in reply.body


# Batches -----------------------------------------------------------------------------------------


@pytest.fixture
def poller(site: Site) -> Any:
    """Polls by hand."""

    class Poller(PollClient):
        def _run(self) -> None:
            """Not by itself."""

    poller = Poller(site)
    yield poller
    poller.close()


@pytest.mark.parametrize("there", [True, False], ids=["here", "through another worker"])
def test_a_batch_that_was_lost_comes_again(poller: PollClient, there: bool) -> None:
    line = poller.line if there else poller.up
    poller.send({"type": "ping"})
    first = poller.poll(line).json
    again = poller.poll(line).json
    assert first["messages"] == again["messages"] == [{"type": "pong"}]
    assert first["batch"] == again["batch"] == 2
    poller.send({"type": "ping"})
    assert poller.poll(line).json["batch"] == 2, "not acknowledged yet"
    after = poller.poll(line, ack=2).json
    assert (after["batch"], after["messages"]) == (3, [{"type": "pong"}])


def test_messages_may_ride_with_a_poll(poller: PollClient) -> None:
    upload = {"number": 1, "messages": [{"type": "ping"}, {"type": "ping"}]}
    answer = poller.poll(poller.up, **upload).json
    assert answer["messages"] == [{"type": "pong"}] * 2
    assert answer["taken"] == 1
    repeated = poller.poll(poller.up, **upload).json
    assert [repeated[key] for key in ("batch", "messages", "taken")] == [2, answer["messages"], 1]
    reply = poller.poll(poller.up, messages=[{"type": "ping"}])
    assert reply.status == 400
    assert "number" in reply.json["message"]


def test_a_poll_without_messages_ends_empty(poller: PollClient) -> None:
    answer = poller.poll(poller.line).json
    assert (answer["batch"], answer["messages"]) == (1, [])


def test_a_later_poll_overtakes_one_that_waits(site: Site, poller: PollClient) -> None:
    first = site.line(poller.pid)
    body = b'{"ticket":"%b","ack":1}' % poller.ticket.encode()
    first.http.request("POST", "/seaway/poll", body=body)
    # Which of the two was first is known by who got the message.
    time_out = time.monotonic() + 30
    answer: Any = {"messages": []}
    poller.send({"type": "ping"})
    while not answer["messages"] and time.monotonic() < time_out:
        answer = poller.poll(poller.line).json
    assert answer["messages"] == [{"type": "pong"}]
    assert first.http.getresponse().status == 200


def test_a_batch_that_was_never_made_ends_in_410(poller: PollClient) -> None:
    assert poller.poll(poller.line, ack=7).status == 410
    assert poller.poll(poller.up, ack=7).status == 410


def test_what_waits_for_a_poll_is_bounded_and_nothing_is_lost(
    site: Site, poller: PollClient
) -> None:
    """Over the high-water mark the hub keeps the poller's cursor instead of a buffer."""
    topic = f"rooms/bounded-{poller.pid}"
    join = {"type": "join", "id": 1, "topic": topic}
    joined = poller.poll(poller.line, number=1, messages=[join]).json
    ack = joined["batch"]
    heard: list[int] = []
    sizes: list[int] = []
    text = "x" * 2000
    event = {"topic": topic, "event": "said", "data": text}
    key = {"Authorization": "Bearer a-key-for-tests-that-is-long-enough-0123456789"}
    assert site.line().request("POST", "/seaway/publish", [event] * 150, key).status == 200
    while len(heard) < 150:
        reply = poller.poll(poller.line, ack=ack)
        answer = reply.json
        ack = answer["batch"]
        sizes.append(len(reply.body))
        heard += [each["offset"] for each in answer["messages"] if each["type"] == "event"]
    assert heard == list(range(1, 151))
    assert max(sizes) < 150_000
    assert len(sizes) > 2


def test_who_does_not_poll_is_gone(site: Site, poller: PollClient) -> None:
    """PING_SECONDS is 2 here: a poll waits 1.6 s, and the next is expected within 3.2 s; the very
    first within 10 s."""
    poller.poll(poller.line)
    deadline = time.monotonic() + 30
    while poller.send(number=1).status == 204 and time.monotonic() < deadline:
        time.sleep(0.1)
        poller.number = 0
    assert poller.poll(poller.line).status == 410
