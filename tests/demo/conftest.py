"""The demo served by two workers, and Chromium windows that look at it.

What lives here: fixtures. What must not: tests; starting the demo itself (`project`).

Playwright's synchronous API keeps a loop in this thread, where Django then refuses to work: so the
browser lives no longer than its module, and what these tests do to the data they do from outside.
"""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.demo.project import PATIENCE, Project, Server
from tests.servers.network import network_stays

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
#: No sandbox: tests may run as root. The rest keeps it from phoning anywhere.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """The path of a Chromium."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def missing() -> str:
    """What the tests with a browser lack, in one line; empty when they can run."""
    if chromium() is None:
        return f"Chromium is not installed: none of {', '.join(CHROMIUM)} is on the PATH."
    if importlib.util.find_spec("playwright") is None:
        return "Chromium is not installed for tests: Playwright, which drives it, is missing."
    return ""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with network_stays(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """In a short directory: the path of the broker's socket has to fit into 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        project = Project(Path(directory), grace_seconds=5)
        project.build()
        yield project


@pytest.fixture(scope="module")
def server(browser: Browser, project: Project) -> Iterator[Server]:
    server = Server(project)
    try:
        server.wait_until_up()
        yield server
    finally:
        server.stop()
    assert "Traceback" not in server.log.read_text()


class Window:
    """A browser window that shows the seat map."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, url: str) -> Window:
        self.page.goto(url)
        self.is_live()
        return self

    def is_live(self) -> None:
        """Connected, and the topic joined: the worker that serves the window has told its id."""
        self.sees('#connection[data-state="open"]')
        self.sees("#worker")

    @property
    def viewers(self) -> int:
        return int(self.page.locator("#viewers").get_attribute("data-count") or 0)

    @property
    def worker(self) -> int:
        return int(self.page.locator("#worker").get_attribute("data-pid") or 0)

    def sees(self, selector: str) -> None:
        self.page.wait_for_selector(selector, state="visible", timeout=PATIENCE * 1000)

    def shows(self, seat: int, look: str) -> None:
        self.sees(f'#seat-{seat}[data-look="{look}"]')

    def says(self, text: str) -> None:
        self.sees(f".toast:has-text({text!r})")

    def click(self, seat: int) -> None:
        self.page.click(f"#seat-{seat}")

    def hold(self, seat: int) -> None:
        self.click(seat)
        self.shows(seat, "mine")

    def tidy(self) -> None:
        """Give back what is held, and take the toasts away."""
        while self.page.locator("#basket li").count():
            seat = self.page.locator("#basket li").first.get_attribute("data-seat")
            self.page.click(f'#basket li[data-seat="{seat}"] .release')
            self.page.wait_for_selector(f'#basket li[data-seat="{seat}"]', state="detached")
        self.page.evaluate("document.querySelector('#toasts').replaceChildren()")


class Windows:
    """Opens windows; each is a visitor of its own unless it is told whose."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser = browser
        self.url = url
        self.contexts: list[BrowserContext] = []
        self.opened: list[Window] = []

    def visitor(self, **options: object) -> BrowserContext:
        context = self.browser.new_context(**options)  # type: ignore[arg-type] # passed through
        self.contexts.append(context)
        return context

    def open(self, visitor: BrowserContext | None = None) -> Window:
        window = Window((visitor or self.visitor()).new_page())
        self.opened.append(window)
        return window.open(self.url)

    def open_pair(self) -> tuple[Window, Window]:
        """Two visitors who are served by different workers."""
        first, second = self.open(), self.open()
        for _ in range(20):
            if second.worker != first.worker:
                return first, second
            second.open(self.url)
        raise AssertionError("Twenty times the same worker.")

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        assert [error for window in self.opened for error in window.errors] == []


@pytest.fixture
def windows(browser: Browser, server: Server) -> Iterator[Windows]:
    windows = Windows(browser, server.url)
    yield windows
    windows.close()


@pytest.fixture(scope="module")
def two_visitors(browser: Browser, server: Server) -> Iterator[tuple[Window, Window]]:
    windows = Windows(browser, server.url)
    yield windows.open_pair()
    windows.close()


@pytest.fixture
def pair(two_visitors: tuple[Window, Window]) -> Iterator[tuple[Window, Window]]:
    """Two windows that stay open from test to test, served by different workers."""
    yield two_visitors
    for window in two_visitors:
        window.tidy()


@pytest.fixture(scope="module")
def free_seat(project: Project) -> Callable[[], int]:
    """A seat that no other test uses, each time it is called."""
    names = itertools.chain(*([f"Stalls {row}{n}" for n in range(5, 14)] for row in "FGHJK"))
    return lambda: project.seat(next(names))
