"""The demo as people meet it: in Chromium windows, served by two worker processes."""

from __future__ import annotations

import functools
import os
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.demo.conftest import Window, Windows, missing
from tests.demo.project import Project, Server
from tests.waiting import wait_for

pytestmark = pytest.mark.browser
if missing():
    pytest.skip(missing(), allow_module_level=True)

NewSeat = Callable[[], int]

#: Clicks an element of the page at a time in milliseconds since 1970.
CLICK_AT = """([selector, time]) => setTimeout(
    () => document.querySelector(selector).dispatchEvent(new MouseEvent("click", {bubbles: true})),
    time - Date.now(),
)"""


#: Remembers every look of an element: the short ones would be missed by looking now and then.
RECORD = """selector => {
    window.looks = [];
    const seat = document.querySelector(selector);
    new MutationObserver(() => {
        const look = seat.dataset.look;
        if (window.looks.at(-1) !== look) window.looks.push(look);
    }).observe(seat, {attributeFilter: ["data-look"]});
}"""

Pair = tuple[Window, Window]


def test_a_click_is_seen_through_another_worker(pair: Pair, free_seat: NewSeat) -> None:
    ann, bob = pair
    seat = free_seat()

    ann.hold(seat)
    bob.shows(seat, "held")
    ann.sees("#basket li .left:has-text('held for')")
    bob.click(seat)
    bob.says("Someone is holding")
    ann.page.click("#basket .release")
    bob.shows(seat, "free")
    ann.sees('#basket[data-count="0"]')


def test_the_page_counts_people_not_tabs(windows: Windows) -> None:
    ann = windows.open()
    others = ann.viewers - 1
    bob = windows.open()
    windows.open(ann.page.context)
    ann.sees(f'#viewers[data-count="{others + 2}"]')
    bob.sees(f'#viewers:has-text("{others + 2} people are looking")')
    bob.page.close()
    ann.sees(f'#viewers[data-count="{others + 1}"]')


def test_of_two_who_click_at_the_same_moment_one_gets_the_seat(
    pair: Pair, free_seat: NewSeat
) -> None:
    ann, bob = pair
    for _ in range(5):
        seat = free_seat()
        soon = ann.page.evaluate("Date.now() + 150")
        for window in (ann, bob):
            window.page.evaluate(CLICK_AT, [f"#seat-{seat}", soon])
        looks = wait_for(functools.partial(settled, ann, bob, seat), "One owner")
        loser = bob if looks[0] == "mine" else ann
        loser.says(" ")
        assert ann.page.locator(".toast").count() + bob.page.locator(".toast").count() == 1
        for window in pair:
            window.tidy()


def settled(ann: Window, bob: Window, seat: int) -> tuple[str, str] | None:
    """The looks of a seat in both windows, once one is "mine" and the other "held"."""
    looks = tuple(str(w.page.get_attribute(f"#seat-{seat}", "data-look")) for w in (ann, bob))
    busy = any(w.page.locator(f"#seat-{seat}[data-busy]").count() for w in (ann, bob))
    return (looks[0], looks[1]) if set(looks) == {"mine", "held"} and not busy else None


def test_buying_is_final(pair: Pair, free_seat: NewSeat) -> None:
    ann, bob = pair
    seats = [free_seat(), free_seat()]
    for seat in seats:
        ann.hold(seat)
    ann.page.click("#buy")
    ann.says("Enjoy the show! You paid €88.")
    for seat in seats:
        ann.shows(seat, "bought")
        bob.shows(seat, "sold")
    for window in (ann, bob):
        window.page.reload()
        window.is_live()
    ann.shows(seats[0], "bought")
    bob.shows(seats[0], "sold")


def test_a_change_in_the_admin_is_seen_at_once(
    windows: Windows, pair: Pair, free_seat: NewSeat, server: Server
) -> None:
    ann, bob = pair
    seat = free_seat()
    ann.hold(seat)
    admin = windows.visitor().new_page()
    admin.goto(f"{server.url}admin/seats/seat/{seat}/change/")
    admin.fill("#id_username", "admin")
    admin.fill("#id_password", "admin")
    admin.click("[type=submit]")
    admin.check("#id_blocked")
    admin.click("[name=_continue]")

    ann.shows(seat, "blocked")
    bob.shows(seat, "blocked")
    ann.says("has ended: it is not for sale")
    admin.check("#id_reservation-0-DELETE")
    admin.uncheck("#id_blocked")
    admin.click("[name=_continue]")
    ann.shows(seat, "free")
    bob.shows(seat, "free")


def test_a_shell_reaches_every_window(pair: Pair, free_seat: NewSeat, project: Project) -> None:
    ann, bob = pair
    seat = free_seat()
    event = {"id": seat, "state": "sold", "by": None, "until": None}
    project.manage(
        "shell",
        "-c",
        "from seats.topics import SeatMap\n"
        f"SeatMap.at(event_id=1).publish('seat', {event})\n"
        f"assert len(SeatMap.at(event_id=1).members()) >= 2",
    )
    ann.shows(seat, "sold")
    bob.shows(seat, "sold")


def test_leaving_frees_the_seats_and_returning_keeps_them(
    windows: Windows, free_seat: NewSeat
) -> None:
    ann, bob = windows.open_pair()
    seat = free_seat()
    ann.hold(seat)
    ann.page.reload()
    ann.is_live()
    ann.shows(seat, "mine")
    ann.sees("#basket li .left:has-text('held for 1:')")

    tab = windows.open(ann.page.context)
    ann.page.close()
    bob.shows(seat, "held")
    tab.sees("#basket li .left:has-text('held for 1:')")
    tab.page.close()
    bob.shows(seat, "free")


def test_a_killed_worker_costs_its_windows_nothing(
    windows: Windows, free_seat: NewSeat, server: Server
) -> None:
    ann, bob = windows.open_pair()
    before, during, after = free_seat(), free_seat(), free_seat()
    ann.hold(before)
    killed = ann.worker
    os.kill(killed, signal.SIGKILL)
    bob.hold(during)

    ann.sees(f'#worker[data-pid]:not([data-pid="{killed}"])')
    ann.sees('#connection[data-state="open"]')
    ann.shows(before, "mine")
    ann.shows(during, "held")
    bob.hold(after)
    ann.shows(after, "held")
    bob.shows(before, "held")


def test_seats_are_chosen_without_a_mouse(windows: Windows, free_seat: NewSeat) -> None:
    ann = windows.open()
    seat = free_seat()
    ann.page.focus(f"#seat-{seat}")
    ann.page.keyboard.press("ArrowRight")
    ann.page.keyboard.press("ArrowLeft")
    ann.page.keyboard.press("Enter")
    ann.shows(seat, "mine")
    chosen = ann.page.locator(f"#seat-{seat}")
    assert chosen.get_attribute("aria-pressed") == "true"
    assert re.search(r"held for you$", chosen.get_attribute("aria-label") or "")
    ann.page.keyboard.press(" ")
    ann.shows(seat, "free")


def test_a_finger_gets_a_closer_look_first(windows: Windows, free_seat: NewSeat) -> None:
    phone = windows.visitor(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    ann = windows.open(phone)
    seat = free_seat()
    chair = ann.page.locator(f"#seat-{seat}")
    chair.tap()
    ann.sees("#zoom-out:enabled")
    assert chair.get_attribute("data-look") == "free"
    chair.tap()
    ann.shows(seat, "mine")
    ann.sees("#buy:enabled")
    wide = ann.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390


def test_a_strict_content_security_policy_is_kept(windows: Windows, free_seat: NewSeat) -> None:
    visitor = windows.visitor()

    def with_policy(route: Any) -> None:
        answer = route.fetch()
        policy = {"content-security-policy": "default-src 'self'; frame-ancestors 'none'"}
        route.fulfill(response=answer, headers={**answer.headers, **policy})

    visitor.route(re.compile(r"/events/\d+/$"), with_policy)
    complaints: list[str] = []
    page = visitor.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    ann = Window(page).open(windows.url)
    ann.hold(free_seat())
    assert complaints == []


@pytest.fixture
def hasty(tmp_path_factory: pytest.TempPathFactory, project: Project) -> Iterator[Server]:
    """The same database, served with holds of two seconds."""
    (project.directory / "hasty").mkdir()
    hasty = Project(project.directory / "hasty", hold_seconds=2, database=project.database)
    server = Server(hasty, workers=1)
    try:
        server.wait_until_up()
        yield server
    finally:
        server.stop()


def test_a_hold_runs_out_by_itself(windows: Windows, hasty: Server, free_seat: NewSeat) -> None:
    windows.url = hasty.url
    ann, bob = windows.open(), windows.open()
    seat = free_seat()
    for window in (ann, bob):
        window.page.evaluate(RECORD, f"#seat-{seat}")

    ann.click(seat)
    wait_for(lambda: looks(ann) == ["mine", "free"], "The end of Ann's hold")
    wait_for(lambda: looks(bob) == ["held", "free"], "The end of Ann's hold at Bob's")
    ann.says("has run out")
    bob.click(seat)
    wait_for(lambda: looks(bob)[2:3] == ["mine"], "Bob's hold")
    wait_for(lambda: looks(ann)[2:3] == ["held"], "Bob's hold at Ann's")


def looks(window: Window) -> list[str]:
    return list(window.page.evaluate("window.looks"))
