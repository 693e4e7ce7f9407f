"""The store: what it keeps, what it forgets, and that no reader is ever misled."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from seaway.layers.base import Gap, History, Page, Position, PresenceChange
from seaway.layers.memory.store import PAGE_BYTES, PAGE_EVENTS, SWEEP_STREAMS, Store
from seaway.layers.memory.stored_stream import IDLE_SECONDS
from tests.layers.clock import Clock

KEPT = History(size=10, seconds=60)
LONG = IDLE_SECONDS + 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store[str]:
    store: Store[str] = Store(clock)
    store.attach("here")
    store.attach("there")
    return store


def sweep_all(store: Store[str]) -> None:
    for _ in range(len(store) // SWEEP_STREAMS + 2):
        store.sweep()


# Forgetting --------------------------------------------------------------------------------------


def test_asking_about_unused_topics_costs_no_memory(store: Store[str]) -> None:
    for n in range(1000):
        position = store.position(f"topic {n}")
        assert store.read(f"topic {n}", position, 10) == Page((), position)
    assert len(store) == 0


def test_watching_and_leaving_an_unused_topic_costs_no_memory_after_a_sweep(
    store: Store[str],
) -> None:
    before = store.watch("topic", "here")
    sweep_all(store)
    assert len(store) == 1

    store.unwatch("topic", "here")
    sweep_all(store)

    assert len(store) == 0
    assert store.position("topic") == before


def test_an_idle_stream_is_forgotten_and_begins_anew(store: Store[str], clock: Clock) -> None:
    old = store.publish("topic", b"x", KEPT).position
    clock.now += LONG
    sweep_all(store)
    assert len(store) == 0

    assert isinstance(store.read("topic", old, 10), Gap)
    new = store.publish("topic", b"y", KEPT).position
    assert new.epoch != old.epoch
    assert new.offset == 1


def test_a_watched_stream_is_not_forgotten(store: Store[str], clock: Clock) -> None:
    position = store.publish("topic", b"x", KEPT).position
    store.watch("topic", "here")
    clock.now += LONG
    sweep_all(store)
    assert store.position("topic") == position


def test_a_stream_with_history_is_not_forgotten(store: Store[str], clock: Clock) -> None:
    position = store.publish("topic", b"x", History(size=1, seconds=10 * LONG)).position
    clock.now += LONG
    sweep_all(store)
    assert store.position("topic") == position


def test_a_forgotten_neighbour_changes_nothing_for_a_living_stream(
    store: Store[str], clock: Clock
) -> None:
    watched = store.watch("living", "here")
    store.publish("idle", b"x", None)
    clock.now += LONG
    sweep_all(store)
    assert len(store) == 1

    assert store.publish("living", b"x", KEPT).position == Position(watched.epoch, 1)
    found = store.read("living", watched, 10)
    assert isinstance(found, Page)
    assert len(found.publications) == 1


def test_one_sweep_does_bounded_work_and_the_next_goes_on(store: Store[str], clock: Clock) -> None:
    count = 2 * SWEEP_STREAMS + 1
    for n in range(count):
        store.publish(f"topic {n}", b"x", None)
    clock.now += LONG
    store.sweep()
    assert len(store) == count - SWEEP_STREAMS
    sweep_all(store)
    assert len(store) == 0


def test_a_page_is_bounded_in_bytes(store: Store[str]) -> None:
    start = store.watch("topic", "here")
    for _ in range(10):
        store.publish("topic", b"x" * (PAGE_BYTES // 2), KEPT)
    found = store.read("topic", start, 10)
    assert isinstance(found, Page)
    assert len(found.publications) == 2
    assert found.position.offset == 10


def test_a_page_is_bounded_in_events_whatever_is_asked(store: Store[str]) -> None:
    start = store.watch("topic", "here")
    for _ in range(PAGE_EVENTS + 1):
        store.publish("topic", b"", History(size=2 * PAGE_EVENTS, seconds=60))
    found = store.read("topic", start, 2**64)
    assert isinstance(found, Page)
    assert len(found.publications) == PAGE_EVENTS


def test_one_event_over_the_bound_is_still_given(store: Store[str]) -> None:
    start = store.watch("topic", "here")
    store.publish("topic", b"x" * (PAGE_BYTES + 1), KEPT)
    found = store.read("topic", start, 10)
    assert isinstance(found, Page)
    assert len(found.publications) == 1


def test_no_position_has_a_negative_offset(store: Store[str]) -> None:
    position = store.publish("topic", b"x", KEPT).position
    assert store.read("topic", Position(position.epoch, -1), 10) == Gap(position)


# Processes -------------------------------------------------------------------------------------


def test_dropping_a_process_ends_its_watches_and_memberships(store: Store[str]) -> None:
    store.watch("topic", "here")
    store.watch("topic", "there")
    store.presence.enter("here", "topic", {"ann": b"A"})
    assert store.drop("here") == {"topic": PresenceChange(entered={}, left=["ann"])}
    assert list(store.watchers("topic")) == ["there"]
    assert store.drop("here") == {}


# Nobody is misled --------------------------------------------------------------------------------

TOPICS = st.sampled_from(["a", "b", "c"])
HISTORIES = st.sampled_from(
    [None, History(size=0, seconds=5), History(size=2, seconds=50), History(size=5, seconds=9000)]
)


class ResumingIsTrue(RuleBasedStateMachine):
    """Whatever happens: who resumes from a position that the store once gave for a topic gets
    exactly what was published on it since, or a gap. ``log`` is the whole truth."""

    @initialize()
    def begin(self) -> None:
        self.clock = Clock()
        self.store: Store[str] = Store(self.clock)
        self.store.attach("here")
        self.log: dict[str, list[bytes]] = {"a": [], "b": [], "c": []}
        self.seen: list[tuple[str, Position, int]] = []
        self.serial = 0

    def note(self, topic: str, position: Position) -> None:
        self.seen.append((topic, position, len(self.log[topic])))

    @rule(topic=TOPICS, history=HISTORIES)
    def publish(self, topic: str, history: History | None) -> None:
        self.serial += 1
        self.log[topic].append(b"%d" % self.serial)
        self.note(topic, self.store.publish(topic, b"%d" % self.serial, history).position)

    @rule(topic=TOPICS)
    def look(self, topic: str) -> None:
        self.note(topic, self.store.position(topic))

    @rule(topic=TOPICS)
    def watch(self, topic: str) -> None:
        self.note(topic, self.store.watch(topic, "here"))

    @rule(topic=TOPICS)
    def unwatch(self, topic: str) -> None:
        self.store.unwatch(topic, "here")

    @rule(seconds=st.sampled_from([1.0, 10.0, 100.0, LONG, 9001.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def sweep(self) -> None:
        self.store.sweep()

    @rule(limit=st.integers(1, 4))
    def resume(self, limit: int) -> None:
        for topic, position, count in self.seen:
            missed = self.log[topic][count:]
            answer = self.store.read(topic, position, limit)
            if isinstance(answer, Page):
                got = [publication.data for publication in answer.publications]
                assert got == missed[: len(got)]
                assert len(got) == min(limit, len(missed))
                assert answer.position.offset - position.offset == len(missed)

    @invariant()
    def a_fresh_position_is_up_to_date(self) -> None:
        for topic in getattr(self, "log", {}):
            position = self.store.position(topic)
            assert self.store.read(topic, position, 1) == Page((), position)


ResumingIsTrue.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestResumingIsTrue = ResumingIsTrue.TestCase


def generations(store: Store[str], clock: Clock) -> Iterator[str]:
    while True:
        yield store.publish("topic", b"x", None).position.epoch
        clock.now += LONG
        sweep_all(store)


def test_no_epoch_comes_twice(store: Store[str], clock: Clock) -> None:
    epochs = [epoch for epoch, _ in zip(generations(store, clock), range(200), strict=False)]
    assert len(set(epochs)) == 200
