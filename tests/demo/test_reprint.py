"""A task's progress on a page: the box office has all tickets printed, and watches the bar."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.demo.conftest import Windows, missing
from tests.demo.project import PATIENCE, ROOT, Project

pytestmark = pytest.mark.browser
if missing():
    pytest.skip(missing(), allow_module_level=True)

#: Remembers every value of the bar: looking now and then could miss that it moved.
RECORD = """() => {
    window.seen = [];
    const bar = document.querySelector("#progress progress");
    new MutationObserver(() => window.seen.push([bar.value, bar.max]))
        .observe(bar, {attributeFilter: ["value"]});
}"""


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """With a printer that needs a second and a half for the house."""
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        project = Project(Path(directory), print_seconds=0.004)
        project.build()
        yield project


@contextlib.contextmanager
def working(project: Project) -> Iterator[None]:
    """A worker runs."""
    worker = subprocess.Popen(
        [sys.executable, "manage.py", "runworker"],
        cwd=ROOT,
        env=project.environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        worker.terminate()
        assert worker.wait(PATIENCE) == 0


@pytest.fixture
def page(windows: Windows) -> Any:
    """The event's page in the admin, as somebody sees it who has logged in."""
    page = windows.visitor().new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(f"{windows.url}admin/seats/event/1/change/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", "admin")
    page.click("[type=submit]")
    return page


def test_the_bar_waits_for_a_worker_then_moves_and_ends(page: Any, project: Project) -> None:
    page.click("#reprint button")
    page.wait_for_selector("#progress[data-status=READY]")
    page.evaluate(RECORD)

    with working(project):
        page.wait_for_selector("#progress[data-status=SUCCESSFUL]")

    seats = len((project.directory / "tickets.txt").read_text().splitlines())
    values = [value for value, _ in page.evaluate("seen")]
    between = [value for value in values if 0 < value < seats]
    assert len(set(between)) >= 3, values
    assert values == sorted(values)
    assert page.evaluate("seen.at(-1)") == [seats, seats]
    assert "All tickets are printed" in page.inner_text("#progress")

    page.reload()
    page.wait_for_selector("#progress[data-status=SUCCESSFUL]")
    assert page.evaluate("document.querySelector('#progress progress').position") == 1


def test_a_stranger_sees_no_progress(windows: Windows, page: Any) -> None:
    page.click("#reprint button")
    page.wait_for_selector("#progress[data-status=READY]")
    topic = page.get_attribute("#progress", "data-topic")
    stranger = windows.open().page
    refused = stranger.evaluate(
        """async topic => {
            const { connect } = await import("/static/seaway/seaway.js");
            return connect().topic(topic).join().then(() => "joined", error => error.message);
        }""",
        topic,
    )
    assert refused == "Progress is for staff."
