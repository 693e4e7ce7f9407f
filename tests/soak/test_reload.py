"""The reload soak, small, and its own account: it must be able to find what it looks for."""

import json

import pytest
from soak.reload import FAULTS, Reload, Settings
from soak.subscriber import Subscriber, delay

from tests.commands import said


def test_a_reload_under_load_fails_no_request_and_loses_no_event() -> None:
    options = ["--seconds", "6", "--subscribers", "50", "--every", "1.5", "--window", "1"]
    lines = said("-m", "soak", "--requests", "100", *options, patience=180).splitlines()
    figures = json.loads(lines[-1])
    assert [figures[name] for name in FAULTS] == [0] * len(FAULTS), lines
    assert figures["gaps_told"] == 0
    assert figures["reloads"] >= 1
    assert figures["versions_served"] >= 2
    assert figures["reconnects"] >= 50
    assert figures["deliveries"] == 50 * figures["events_published"]


def joined(subscriber: Subscriber, offset: int, *, recovered: bool = False) -> None:
    subscriber._lost_at = 0.0
    subscriber._on_joined({"epoch": "e", "offset": offset, "recovered": recovered})


def event(subscriber: Subscriber, offset: int) -> None:
    subscriber._on_event({"offset": offset, "data": {"number": offset}})


@pytest.fixture
def soak() -> Reload:
    soak = Reload(Settings(subscribers=1))
    subscriber = Subscriber("ws://nowhere/", "feed")
    soak._subscribers.append(subscriber)
    soak._published.update({offset: {"number": offset} for offset in range(1, 11)})
    joined(subscriber, 2)
    return soak


def test_what_is_missing_is_lost_unless_it_was_told(soak: Reload) -> None:
    (subscriber,) = soak._subscribers
    for offset in (3, 4, 5):
        event(subscriber, offset)
    assert soak._lost() == 5
    joined(subscriber, 8)
    assert subscriber.account.gaps == 1
    assert soak._lost() == 2
    event(subscriber, 9)
    event(subscriber, 10)
    assert (soak._lost(), subscriber.account.reordered) == (0, 0)


def test_repeats_holes_and_other_words_are_counted(soak: Reload) -> None:
    (subscriber,) = soak._subscribers
    for offset in (3, 3, 2, 5):
        event(subscriber, offset)
    assert (subscriber.account.duplicated, subscriber.account.reordered) == (2, 1)
    soak._published[3] = {"number": 99}
    assert soak._wrong() == 1


def test_a_restart_is_waited_for_as_the_protocol_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 1.0)
    assert delay(0, 1006, "") == 0.5
    assert delay(9, 1006, "") == 30.0
    assert delay(0, 1012, "service restart") == 5.0
    assert delay(0, 1012, "service restart; within=20000") == 20.0
    assert delay(0, 1013, "") == 10.5
