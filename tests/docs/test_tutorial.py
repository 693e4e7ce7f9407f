"""Somebody follows the tutorial from its first page to its last, and it works.

The tests share one reader and run in the order of the pages: each begins where the last one ended.
"""

from __future__ import annotations

import http.cookiejar
import json
import re
import shutil
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, Dialog, sync_playwright
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.docs.reader import Command, Reader, tutorial_pages
from tests.servers.network import network_stays

Test = TypeVar("Test", bound=Callable[..., None])

PAGES = {page.stem: page for page in tutorial_pages()}
TIMEOUT = 20.0
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def needs_chromium(test: Test) -> Test:
    missing = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
    marked: Test = pytest.mark.browser(missing(test))
    return marked


class Window:
    """What a browser window is to the server: one WebSocket that has joined the lobby."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.welcome = self.next("welcome")
        self._last = 0

    def next(self, kind: str) -> Any:
        """The next message of this type; others are skipped."""
        while True:
            message = json.loads(self._socket.recv(TIMEOUT))
            if message["type"] == kind:
                return message

    def ask(self, **message: Any) -> Any:
        """Send a request; its answer. Events that come before it are left out."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "topic": "rooms/lobby"} | message))
        while True:
            answer = json.loads(self._socket.recv(TIMEOUT))
            if answer.get("id") == self._last and answer["type"] in {"joined", "reply", "error"}:
                return answer

    def join(self, **since: Any) -> Any:
        return self.ask(type="join", **since)

    def send(self, **message: Any) -> None:
        self._last += 1
        self._socket.send(json.dumps(message | {"id": self._last, "topic": "rooms/lobby"}))

    def say(self, text: str) -> None:
        self.send(type="call", action="say", args={"text": text})


class Windows:
    """Opens windows on the reader's server, and closes them when the test is over."""

    def __init__(self, reader: Reader, stack: ExitStack) -> None:
        self._reader = reader
        self._stack = stack

    def open(self, cookie: str = "") -> Window:
        socket = connect(
            f"ws://127.0.0.1:{self._reader.port}/seaway/",
            subprotocols=[Subprotocol("seaway.v1")],
            origin=Origin(self._reader.url),
            additional_headers={"Cookie": cookie} if cookie else None,
            open_timeout=TIMEOUT,
        )
        return Window(self._stack.enter_context(socket))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = Reader(tmp_path_factory.mktemp("tutorial"))
    yield reader
    reader.stop_working()
    reader.stop()


@pytest.fixture
def windows(reader: Reader) -> Iterator[Windows]:
    with ExitStack() as stack:
        yield Windows(reader, stack)
    # pytest shows this when the test has failed.
    sys.stdout.write(reader.log.read_text(encoding="utf-8"))


@pytest.fixture
def browser() -> Iterator[Browser]:
    with network_stays(), sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def log_in(reader: Reader) -> str:
    """Log in at the admin as a person would; the cookie of the session."""
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    address = f"{reader.url}/admin/login/?next=/admin/"
    page = browser.open(address, timeout=TIMEOUT).read().decode()
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found
    form = {"csrfmiddlewaretoken": found[1], "username": "ann", "password": "seaside"}
    browser.open(address, urllib.parse.urlencode(form).encode(), timeout=TIMEOUT).close()
    return next(f"{cookie.name}={cookie.value}" for cookie in jar if cookie.name == "sessionid")


# The pages ---------------------------------------------------------------------------------------


def test_first_chat(reader: Reader, windows: Windows) -> None:
    reader.follow(PAGES["first-chat"])
    one, two = windows.open(), windows.open()
    assert one.join()["data"] == {"room": "lobby"}
    two.join()

    one.say("Hello")
    assert one.next("event")["data"] == {"text": "Hello"}
    assert two.next("event")["data"] == {"text": "Hello"}

    refused = two.ask(type="call", action="say", args={"text": 5})
    assert (refused["type"], refused["code"]) == ("error", "invalid_arguments")


@needs_chromium
def test_first_chat_in_a_browser(reader: Reader, browser: Browser) -> None:
    one, two = browser.new_page(), browser.new_page()
    for page in (one, two):
        page.goto(reader.url)
    one.fill("#text", "Hello from one")
    one.press("#text", "Enter")
    two.wait_for_selector("#messages li:has-text('Hello from one')")
    two.fill("#text", "Hello from two")
    two.press("#text", "Enter")
    one.wait_for_selector("#messages li:has-text('Hello from two')")


def test_presence(reader: Reader, windows: Windows) -> None:
    reader.follow(PAGES["presence"])
    guest, ann = windows.open(), windows.open(log_in(reader))
    assert [member["name"] for member in guest.join()["members"]] == ["guest"]
    assert sorted(member["name"] for member in ann.join()["members"]) == ["ann", "guest"]
    # The news may begin with what the answer to the join has shown already.
    while "ann" not in [member["name"] for member in guest.next("presence")["entered"]]:
        pass

    ann.say("I have a name")
    assert guest.next("event")["data"] == {"name": "ann", "text": "I have a name"}


def test_history(reader: Reader, windows: Windows) -> None:
    left_open = windows.open().join()
    position = {"epoch": left_open["epoch"], "offset": left_open["offset"]}
    reader.follow(PAGES["history"])

    one, two = windows.open(), windows.open()
    back = one.join(since=position)
    assert back["recovered"] is True
    assert one.next("event")["data"] == {"name": "shell", "text": "Is anybody there?"}

    two.join()
    two.say("I am")
    said = one.next("event")["data"]
    assert (said["name"], said["text"]) == ("guest", "I am")

    newcomer = windows.open()
    assert newcomer.join()["data"]["messages"] == [said]


def test_history_outlives_a_restart(reader: Reader, windows: Windows) -> None:
    before = windows.open()
    joined = before.join()
    before.say("Before the restart")
    missed = before.next("event")
    reader.restart()

    after = windows.open()
    answer = after.join(since={"epoch": joined["epoch"], "offset": joined["offset"]})
    assert answer["recovered"] is True
    assert after.next("event") == missed


@needs_chromium
def test_history_in_a_browser(reader: Reader, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(reader.url)
    page.wait_for_selector("#messages li:has-text('Before the restart')")
    page.wait_for_selector("#members:has-text('guest')")
    port = reader.port
    reader.stop()
    missed = {"id": 1000, "name": "shell", "text": "While you were away"}
    publish = f'Room.at(name="lobby").publish("said", {missed})'
    shell = Command("python manage.py shell", [], ["from chat.topics import Room", publish])
    reader.type(shell, "test_history_in_a_browser")
    reader.restart(port)
    page.wait_for_selector("#messages li:has-text('While you were away')")


def test_permissions(reader: Reader, windows: Windows) -> None:
    reader.follow(PAGES["permissions"])
    refused = windows.open().join()
    assert (refused["code"], refused["message"]) == ("forbidden", "Log in to chat.")

    with urllib.request.urlopen(reader.url, timeout=TIMEOUT) as page:
        assert "/admin/login/" in page.url

    ann = windows.open(log_in(reader))
    assert ann.join()["type"] == "joined"
    assert ann.ask(type="call", action="say", args={"text": " "})["code"] == "empty"


@needs_chromium
def test_permissions_in_a_browser(reader: Reader, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(reader.url)
    page.fill("[name=username]", "ann")
    page.fill("[name=password]", "seaside")
    page.press("[name=password]", "Enter")
    page.wait_for_selector("#members:has-text('ann')")
    said: list[str] = []

    def read(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.accept()

    page.on("dialog", read)
    with page.expect_event("dialog"):
        page.press("#text", "Enter")
    assert said == ["Say something."]


def test_publishing(reader: Reader, windows: Windows) -> None:
    ann = windows.open(log_in(reader))
    ann.join()
    reader.follow(PAGES["publishing"])
    event = ann.next("event")
    assert event["event"] == "said"
    assert event["data"] == {"id": 0, "name": "shell", "text": "Hello from outside"}


def test_background(reader: Reader, windows: Windows) -> None:
    reader.follow(PAGES["background"])
    ann = windows.open(log_in(reader))
    said = " ".join(message["text"] for message in ann.join()["data"]["messages"])
    topic = f"tasks/{ann.ask(type='call', action='count', args={})['data']['task']}"
    stranger = windows.open().ask(type="join", topic=topic)
    assert (stranger["code"], stranger["message"]) == ("forbidden", "Log in to chat.")
    words = ann.ask(type="join", topic=topic)["data"]["words"]
    if words is None:
        while ann.next("event")["event"] != "finished":
            pass
        words = ann.ask(type="call", topic=topic, action="words", args={})["data"]
    assert words == len(said.split()) > 0
    unknown = ann.ask(type="join", topic="tasks/none")
    assert (unknown["code"], unknown["message"]) == ("forbidden", "There is no such task.")


@needs_chromium
def test_background_in_a_browser(reader: Reader, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(reader.url)
    page.fill("[name=username]", "ann")
    page.fill("[name=password]", "seaside")
    page.press("[name=password]", "Enter")
    page.wait_for_selector("#members:has-text('ann')")
    page.click("#count")
    page.wait_for_selector("#words:has-text('words')")
    assert page.eval_on_selector("progress", "bar => bar.value") == 1


def test_testing(reader: Reader) -> None:
    """The page itself runs the tests that it shows."""
    reader.follow(PAGES["testing"])
    assert (reader.here / "chat" / "tests.py").exists()


def test_serving(reader: Reader, windows: Windows) -> None:
    reader.follow(PAGES["serving"])
    one, two = windows.open(log_in(reader)), windows.open(log_in(reader))
    one.join()
    two.join()
    one.say("Across workers")
    assert two.next("event")["data"]["text"] == "Across workers"


def test_every_page_is_followed() -> None:
    tested = {name.removeprefix("test_").replace("_", "-") for name in globals()}
    assert set(PAGES) <= tested, "a page of the tutorial has no test"


def test_the_tutorial_is_all_there() -> None:
    written = {page.stem for page in Path(PAGES["first-chat"]).parent.glob("*.md")} - {"index"}
    assert written == set(PAGES), "a page is missing in the table of contents"
