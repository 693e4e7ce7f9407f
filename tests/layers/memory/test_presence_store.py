"""The presence store: whose members there are, and when they leave by themselves."""

import pytest

from seaway.layers.base import PresenceChange
from seaway.layers.memory.presence_store import PresenceStore
from tests.layers.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> PresenceStore[str]:
    store: PresenceStore[str] = PresenceStore(clock)
    store.attach("here")
    store.attach("there")
    return store


def test_members_leave_when_their_process_is_silent_for_its_lease(clock: Clock) -> None:
    store: PresenceStore[str] = PresenceStore(clock)
    store.attach("frozen", lease=10)
    store.attach("well", lease=10)
    store.enter("frozen", "topic", {"ann": b"A", "bob": b"B"})
    store.enter("well", "topic", {"cid": b"C"})
    clock.now += 9
    assert store.renew("well")
    clock.now += 2

    assert store.expire() == {"topic": PresenceChange(entered={}, left=["ann", "bob"])}
    assert store.members("topic") == {"cid": b"C"}
    assert store.expire() == {}


def test_a_process_that_comes_back_is_told_once_that_its_members_left(clock: Clock) -> None:
    store: PresenceStore[str] = PresenceStore(clock)
    store.attach("frozen", lease=10)
    store.enter("frozen", "topic", {"ann": b"A"})
    clock.now += 11
    store.expire()
    assert not store.renew("frozen")
    assert store.renew("frozen")


def test_two_processes_that_expire_at_once_make_one_change(clock: Clock) -> None:
    store: PresenceStore[str] = PresenceStore(clock)
    for name in ("one", "two"):
        store.attach(name, lease=10)
        store.enter(name, "topic", {name: b""})
    clock.now += 11
    assert store.expire() == {"topic": PresenceChange(entered={}, left=["one", "two"])}


def test_a_member_belongs_to_whoever_entered_it_last(store: PresenceStore[str]) -> None:
    store.enter("here", "topic", {"ann": b"A"})
    assert store.enter("there", "topic", {"ann": b"A"}) is None
    assert store.leave("here", "topic", "ann") is None
    assert store.drop("here") == {}
    assert store.members("topic") == {"ann": b"A"}
    assert store.leave("there", "topic", "ann") == PresenceChange(entered={}, left=("ann",))


def test_saying_the_same_again_is_no_change(store: PresenceStore[str]) -> None:
    assert store.enter("here", "topic", {"ann": b"A"}) is not None
    assert store.enter("here", "topic", {"ann": b"A"}) is None
