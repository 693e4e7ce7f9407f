"""Where WebSockets do not pass: the client in Chromium behind proxies that spoil them, and
`EventSource` without our client."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.demo.conftest import Windows, missing
from tests.demo.project import PATIENCE, Server
from tests.demo.proxy import Proxy, Upgrades, spoiling
from tests.transports.fallback.site.served import Site, serving

pytestmark = pytest.mark.browser
if missing():
    pytest.skip(missing(), allow_module_level=True)

_rooms = itertools.count()

#: Connects with what the client is by default, and notes what happens.
CONNECT = """async ([room, transports]) => {
    const { connect } = await import("/static/seaway/seaway.js");
    const connection = connect(transports ? { transports } : {});
    const topic = connection.topic(room);
    const it = window.it = { connection, topic, heard: [], states: [], snapshots: 0 };
    connection.on("state", (state) => it.states.push(state));
    topic.on("said", ({ text }) => it.heard.push(text));
    topic.onSnapshot(() => (it.snapshots += 1));
    await topic.join();
}"""


class Tab:
    """A page that runs nothing but our client."""

    def __init__(self, page: Any, url: str, room: str) -> None:
        self.page = page
        self.room = room
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(url)

    def connect(self, *transports: str) -> Tab:
        self.page.evaluate(CONNECT, [self.room, list(transports) or None])
        return self

    def call(self, action: str, **args: Any) -> Any:
        return self.page.evaluate("([a, args]) => it.topic.call(a, args)", [action, args])

    def uses(self, transport: str) -> None:
        """Waits until it does, and is open."""
        self.page.wait_for_function(
            "name => it.connection.transport === name && it.connection.state === 'open'"
            " && it.topic.state === 'joined'",
            arg=transport,
        )

    def hears(self, *texts: str) -> None:
        """Exactly these, in order."""
        self.page.wait_for_function("count => it.heard.length >= count", arg=len(texts))
        assert self.page.evaluate("it.heard") == list(texts)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Pings as by default: what is tested is not to be rescued by them."""
    with serving(SITE_PING_SECONDS="25") as site:
        yield site


@pytest.fixture
def proxy(site: Site) -> Iterator[Proxy]:
    with spoiling(site.port) as proxy:
        yield proxy


@pytest.fixture
def tab(browser: Any, proxy: Proxy) -> Iterator[Tab]:
    context = browser.new_context()
    yield Tab(context.new_page(), proxy.url, f"rooms/b{next(_rooms)}-{os.getpid()}")
    context.close()


def test_without_a_spoiler_it_is_a_websocket(tab: Tab) -> None:
    tab.connect().uses("websocket")


@pytest.mark.parametrize(
    ("upgrades", "swallows", "expected"),
    [
        (Upgrades.REFUSE, False, "sse"),
        (Upgrades.KILL, False, "sse"),
        (Upgrades.REFUSE, True, "polling"),
    ],
    ids=["upgrades refused", "sockets killed", "streams swallowed too"],
)
def test_the_client_falls_back_by_itself(
    site: Site, proxy: Proxy, tab: Tab, upgrades: Upgrades, swallows: bool, expected: str
) -> None:
    proxy.upgrades, proxy.swallows_streams = upgrades, swallows
    tab.connect().uses(expected)
    assert proxy.asked == 2
    assert tab.call("echo", text="Grüße 🌊") == "Grüße 🌊"
    tab.call("say", text="one")
    site.publish(tab.room, "said", {"text": "two"})
    tab.hears("one", "two")
    members = tab.page.evaluate("it.topic.presence.members.length")
    assert members == 1


@pytest.mark.parametrize("transport", ["websocket", "sse", "polling"])
def test_a_lost_network_costs_no_event(site: Site, proxy: Proxy, tab: Tab, transport: str) -> None:
    tab.connect(transport).uses(transport)
    heard = []
    for number in range(6):
        if number % 2:
            proxy.cut()
        site.publish(tab.room, "said", {"text": str(number)})
        heard.append(str(number))
    tab.hears(*heard)
    assert tab.page.evaluate("it.snapshots") == 1


@pytest.mark.parametrize("transport", ["sse", "polling"])
def test_a_killed_worker_costs_no_event(browser: Any, transport: str) -> None:
    with serving(SITE_PING_SECONDS="25") as site:
        context = browser.new_context()
        tab = Tab(context.new_page(), site.url, "rooms/killed").connect(transport)
        tab.uses(transport)
        killed = tab.call("pid")
        site.publish(tab.room, "said", {"text": "before"})
        tab.hears("before")
        os.kill(killed, signal.SIGKILL)
        site.publish(tab.room, "said", {"text": "meanwhile"})
        tab.hears("before", "meanwhile")
        tab.uses(transport)
        assert tab.call("pid") != killed
        assert tab.page.evaluate("it.snapshots") == 1
        context.close()


def test_what_worked_is_remembered_by_the_next_page(proxy: Proxy, tab: Tab) -> None:
    proxy.upgrades = Upgrades.REFUSE
    tab.connect().uses("sse")
    tab.page.wait_for_function("Object.keys(sessionStorage).length === 1")
    asked = proxy.asked
    tab.page.reload()
    tab.connect().uses("sse")
    assert proxy.asked == asked, "no WebSocket was tried"


def test_the_client_climbs_back_up_and_nothing_is_lost_or_comes_twice(
    site: Site, proxy: Proxy, tab: Tab
) -> None:
    tab.page.clock.install()
    tab.page.reload()
    proxy.upgrades = Upgrades.REFUSE
    tab.connect().uses("sse")
    tab.page.wait_for_function("Object.keys(sessionStorage).length === 1")
    proxy.upgrades = Upgrades.PASS
    asked = proxy.asked
    tab.page.clock.fast_forward(61_000)
    expected: list[str] = []
    while tab.page.evaluate("it.connection.transport") != "websocket":
        expected.append(str(len(expected)))
        site.publish(tab.room, "said", {"text": expected[-1]})
        assert len(expected) < 5000
    for _ in range(5):
        expected.append(str(len(expected)))
        site.publish(tab.room, "said", {"text": expected[-1]})
    tab.hears(*expected)
    assert proxy.asked == asked + 1
    assert tab.page.evaluate("it.states") == ["waiting", "connecting", "waiting", "connecting",
                                              "open"]  # fmt: skip
    assert tab.page.evaluate("it.snapshots") == 1


def test_the_demo_works_without_websockets(
    windows: Windows, server: Server, free_seat: Any
) -> None:
    bob = windows.open()
    with spoiling(server.port) as proxy:
        proxy.upgrades = Upgrades.REFUSE
        windows.url = proxy.url
        ann = windows.open()
        seat = free_seat()
        ann.hold(seat)
        bob.shows(seat, "held")
        other = free_seat()
        bob.hold(other)
        ann.shows(other, "held")
        ann.tidy()
        bob.tidy()
        ann.shows(other, "free")
        assert proxy.asked >= 2
        ann.page.close()


FOLLOW = """([url, named]) => {
    const it = window.it = { heard: [], opened: 0, source: new EventSource(url) };
    it.source.onopen = () => (it.opened += 1);
    for (const name of named) {
        it.source.addEventListener(name, ({ data, type, lastEventId }) => {
            it.heard.push([type, JSON.parse(data)]);
            it.last = lastEventId;
        });
    }
}"""


def test_an_event_source_follows_a_topic_without_our_client(
    site: Site, proxy: Proxy, tab: Tab
) -> None:
    feed = tab.room.replace("rooms/", "feeds/")
    tab.page.evaluate(FOLLOW, [f"/seaway/topics/{feed}", ["snapshot", "sold"]])
    tab.page.wait_for_function("it.heard.length === 1")
    site.publish(feed, "sold", {"seat": 1})
    tab.page.wait_for_function("it.heard.length === 2")
    proxy.cut()
    for seat in (2, 3):
        site.publish(feed, "sold", {"seat": seat})
    tab.page.wait_for_function("it.heard.length === 4")
    site.publish(feed, "sold", {"seat": 4})
    tab.page.wait_for_function("it.heard.length === 5")
    heard = tab.page.evaluate("it.heard")
    assert heard[0][0] == "snapshot"
    assert heard[1:] == [["sold", {"seat": seat}] for seat in (1, 2, 3, 4)]
    assert tab.page.evaluate("it.opened") == 2


def test_a_page_of_another_origin_cannot_follow(site: Site, browser: Any) -> None:
    """``localhost`` is no allowed origin of the site, which answers there all the same."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://localhost:{site.port}/")
    page.evaluate(FOLLOW, [f"{site.url}seaway/topics/feeds/x", ["snapshot"]])
    page.wait_for_function("it.source.readyState === EventSource.CLOSED")
    assert page.evaluate("it.heard") == []
    context.close()
