"""A topic by its URL, for readers without a client: what `EventSource` and ``curl -N`` get."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from seaway.dialects.event_stream import EVENT_STREAM, event_id, position_of
from seaway.layers.base import Position, Publication
from seaway.transports.topic_stream import farewell
from tests.transports.fallback.clients import Event, EventReader, Stream, StreamClient
from tests.transports.fallback.site.served import Site, serving, wait_for

_feeds = itertools.count()


@pytest.fixture
def feed() -> str:
    return f"feeds/f{next(_feeds)}-{os.getpid()}"


@pytest.fixture
def follow() -> Iterator[Callable[..., Stream]]:
    streams: list[Stream] = []

    def follow(
        site: Site, topic: str, pid: int | None = None, query: str = "", **headers: str
    ) -> Stream:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        stream = Stream(site.line(pid), f"/seaway/topics/{quote(topic)}{query}", named)
        streams.append(stream)
        return stream

    yield follow
    for stream in streams:
        stream.close()


Follow = Callable[..., Stream]


# Ids ---------------------------------------------------------------------------------------------


def test_an_id_is_the_position_of_its_own_topic_only() -> None:
    position = Position("k3f9", 41)
    text = event_id("feeds/a", position)
    assert text.startswith("k3f9:41:")
    assert position_of("feeds/a", text) == position
    assert position_of("feeds/b", text) is None


@pytest.mark.parametrize("text", [
    "", ":", "::", "k3f9:41", "k3f9:41:", "k3f9:42:{seal}", "other:41:{seal}", "k3f9:-41:{seal}",
    "k3f9:٤١:{seal}", "k3f9:41:{seal}x", "k3f9:41: {seal}", "k3f9:" + "9" * 5000 + ":{seal}",
])  # fmt: skip
def test_a_forged_id_is_no_position(text: str) -> None:
    seal = event_id("feeds/a", Position("k3f9", 41)).rpartition(":")[2]
    assert position_of("feeds/a", text.format(seal=seal)) is None


def test_an_event_is_said_whole() -> None:
    data = b'{"event":"two\\nlines","data":{"seat":12}}'
    said = EVENT_STREAM.event("feeds/a", Publication(Position("k3f9", 41), data))
    [event] = EventReader().feed(said)
    assert event == (
        "two lines",
        '{"seat":12}',
        event_id("feeds/a", Position("k3f9", 41)),
    )


# Following ---------------------------------------------------------------------------------------


def test_the_snapshot_then_the_events(site: Site, follow: Follow, feed: str) -> None:
    stream = follow(site, feed)
    headers = stream.response.headers
    assert headers["content-type"] == "text/event-stream"
    assert "no-store" in headers["cache-control"]
    assert headers["x-accel-buffering"] == "no"
    [snapshot] = stream.wait(1)
    assert snapshot.name == "snapshot"
    assert json.loads(snapshot.data)["name"] == feed.removeprefix("feeds/")
    site.publish(feed, "sold", {"seat": 12})
    site.publish(feed, "said", "two\nlines, Grüße 🌊")
    _, sold, said = stream.wait(3)
    assert (sold.name, json.loads(sold.data)) == ("sold", {"seat": 12})
    assert (said.name, json.loads(said.data)) == ("said", "two\nlines, Grüße 🌊")
    assert len({snapshot.last_id, sold.last_id, said.last_id}) == 3
    assert stream.reader.retry == 1000


def test_a_silent_stream_says_that_it_lives(site: Site, follow: Follow, feed: str) -> None:
    stream = follow(site, feed)
    stream.wait(1)
    before = stream.reader.comments
    wait_for(lambda: stream.reader.comments >= before + 2, "Two heartbeats")


@pytest.mark.parametrize("how", ["header", "query"])
def test_who_comes_back_gets_what_was_missed(
    site: Site, follow: Follow, feed: str, how: str
) -> None:
    first = follow(site, feed)
    first.wait(1)
    site.publish(feed, "n", 1)
    last_id = first.wait(2)[1].last_id
    first.close()
    for number in (2, 3, 4):
        site.publish(feed, "n", number)
    if how == "header":
        again = follow(site, feed, Last_Event_ID=last_id)
    else:
        again = follow(site, feed, query=f"?x=1&last-event-id={quote(last_id)}")
    events = again.wait(3)
    assert [(event.name, event.data) for event in events] == [("n", "2"), ("n", "3"), ("n", "4")]


def test_who_missed_too_much_gets_a_new_snapshot(site: Site, follow: Follow, feed: str) -> None:
    first = follow(site, feed)
    last_id = first.wait(1)[0].last_id
    first.close()
    for number in range(9):
        site.publish(feed, "n", number)
    again = follow(site, feed, Last_Event_ID=last_id)
    assert again.wait(1)[0].name == "snapshot"
    site.publish(feed, "n", 9)
    assert again.wait(2)[1].data == "9"


def test_an_id_of_another_topic_gets_a_new_snapshot(site: Site, follow: Follow, feed: str) -> None:
    """All topics of one broker may share their epoch: only the seal tells them apart."""
    other = follow(site, feed + "x")
    other.wait(1)
    site.publish(feed + "x", "n", 1)
    for number in (1, 2):
        site.publish(feed, "n", number)
    again = follow(site, feed, Last_Event_ID=other.wait(2)[1].last_id)
    assert again.wait(1)[0].name == "snapshot"
    site.publish(feed, "n", 3)
    assert again.wait(2)[1].data == "3"


def test_a_killed_worker_costs_a_reader_no_event(follow: Follow, feed: str) -> None:
    with serving() as site:
        stream = follow(site, feed)
        stream.wait(1)
        site.publish(feed, "n", 1)
        last_id = stream.wait(2)[1].last_id
        other = site.line(other_than=stream.line.pid).pid
        os.kill(stream.line.pid, signal.SIGKILL)
        wait_for(lambda: stream.ended, "The loss")
        site.publish(feed, "n", 2)
        again = follow(site, feed, other, Last_Event_ID=last_id)
        assert again.wait(1)[0].data == "2"


def test_a_killed_broker_is_mended_by_a_new_snapshot(follow: Follow, feed: str) -> None:
    """History is gone with it: the reader is not left with a hole that it cannot see."""
    with serving(workers=1) as site:
        stream = follow(site, feed)
        stream.wait(1)
        site.publish(feed, "n", 1)
        stream.wait(2)
        kill_broker(site)
        wait_for(lambda: stream.events[-1].name == "snapshot" and len(stream.events) > 2, "A gap")
        site.publish(feed, "n", 2)
        wait_for(lambda: stream.events[-1].data == "2", "The event after the gap")


def kill_broker(site: Site) -> None:
    [lock] = site.log.parent.rglob("*.lock")
    os.kill(int(lock.read_text()), signal.SIGKILL)


def test_a_restart_spreads_the_readers() -> None:
    waits = set()
    for _ in range(200):
        reader = EventReader()
        assert list(reader.feed(farewell(1012, "service restart"))) == []
        waits.add(reader.retry or 0)
    assert min(waits) >= 500
    assert max(waits) < 5000
    assert len(waits) > 50


def test_readers_do_not_see_who_is_there(site: Site, follow: Follow, feed: str) -> None:
    room = feed.replace("feeds/", "rooms/")
    first = follow(site, room)
    first.wait(1)
    follow(site, room).wait(1)
    site.publish(room, "said", 1)
    assert [event.name for event in first.wait(2)] == ["snapshot", "said"]


def test_a_reader_that_leaves_while_it_joins_is_not_counted(site: Site) -> None:
    name = f"slow/left-{os.getpid()}"
    line = site.line()
    line.http.request("GET", f"/seaway/topics/{name}")
    client = StreamClient(site)
    line.close()
    # It asked before the client did, so it was let in before the client is.
    client.join(name)
    wait_for(lambda: len(client.join(name)["members"]) == 1, "The end of the reader's presence")
    client.close()


def test_a_slow_reader_gets_everything_and_costs_a_cursor(site: Site, feed: str) -> None:
    """Far more than fits into the buffers of both kernels, and all before the reader reads."""
    room = feed.replace("feeds/", "rooms/")
    line = site.line()
    response = line.stream(f"/seaway/topics/{room}")
    key = {"Authorization": "Bearer a-key-for-tests-that-is-long-enough-0123456789"}
    for start in range(0, 160, 40):
        events = [
            {"topic": room, "event": "n", "data": f"{number} {'x' * 100_000}"}
            for number in range(start, start + 40)
        ]
        assert site.line().request("POST", "/seaway/publish", events, key).status == 200
    reader = EventReader()
    heard: list[Event] = []
    while len(heard) < 161:
        heard += reader.feed(response.read1(1 << 20))
    assert heard[0].name == "snapshot"
    numbers = [int(json.loads(event.data).split()[0]) for event in heard[1:]]
    assert numbers == list(range(160))
    assert worker_megabytes(line.pid) < 200
    line.close()


def worker_megabytes(pid: int) -> float:
    """The most memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def test_a_session_lets_its_visitor_in(site: Site, follow: Follow) -> None:
    refused = follow(site, "rooms/members")
    assert refused.status == 403
    assert refused.error == {
        "code": "nameless",
        "message": "Tell your name first.",
        "data": {"room": "members"},
    }
    cookie = site.line().request("GET", "/login/ann").headers["Set-Cookie"].partition(";")[0]
    allowed = follow(site, "rooms/members", Cookie=cookie)
    assert json.loads(allowed.wait(1)[0].data)["name"] == "ann"


@pytest.mark.parametrize(
    "topic", ["nowhere", "rooms/a/b", "~p/x", "feeds/" + "x" * 300, "feeds/a b"]
)
def test_an_unknown_topic_is_404(site: Site, follow: Follow, topic: str) -> None:
    refused = follow(site, topic)
    assert refused.status == 404
    assert refused.error["code"] == "unknown_topic"


def test_a_page_of_an_allowed_origin_may_read(site: Site, follow: Follow, feed: str) -> None:
    stream = follow(site, feed, Origin="https://friend.example")
    assert stream.response.headers["access-control-allow-origin"] == "https://friend.example"
    assert stream.response.headers["access-control-allow-credentials"] == "true"
    stream.wait(1)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_follows(site: Site, feed: str) -> None:
    curl = subprocess.Popen(
        ["curl", "--silent", "--no-buffer", f"{site.url}seaway/topics/{feed}"],
        stdout=subprocess.PIPE,
    )
    try:
        assert curl.stdout is not None
        lines = iter(curl.stdout.readline, b"")
        assert b"event: snapshot\n" in lines
        site.publish(feed, "sold", {"seat": 12})
        assert b"event: sold\n" in lines
        assert next(lines) == b'data: {"seat":12}\n'
    finally:
        curl.kill()
        curl.communicate()
