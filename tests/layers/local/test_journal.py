"""What is written down of the stores, and that reading it gives the same again."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import Gap, History, Page, Position
from seaway.layers.local.database import Changes, Database
from seaway.layers.local.journal import Journal
from seaway.layers.memory.queue_store import QueueStore
from seaway.layers.memory.store import Store
from seaway.layers.memory.stored_stream import IDLE_SECONDS
from tests.layers.clock import Clock


class Broker:
    """Stores and their journal, as a broker has them; `restart` is another process's life."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wall = Clock(1_700_000_000.0)
        self.clock = Clock()
        self.open()

    def open(self) -> None:
        self.journal = Journal(Database(self.path), self.clock, self.wall)
        self.store: Store[str] = Store(self.clock, self.journal)
        self.queues = QueueStore(self.clock, self.wall, self.journal)
        self.journal.restore(self.store, self.queues)

    def commit(self) -> Changes:
        changes = self.journal.take()
        self.journal.database.write(changes)
        return changes

    def restart(self) -> None:
        self.commit()
        self.journal.database.close()
        self.clock.now = random.uniform(0, 100)
        self.open()

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.wall.now += seconds

    def close(self) -> None:
        self.journal.database.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "journal.sqlite3")
    yield broker
    broker.close()


def answers(store: Store[str], topics: list[str]) -> list[object]:
    """Everything that anybody could read of some topics."""
    found: list[object] = []
    for topic in topics:
        position = store.position(topic)
        found.append(position)
        found += [
            store.read(topic, Position(position.epoch, offset), 1000)
            for offset in range(position.offset + 1)
        ]
    return found


@pytest.mark.parametrize("seed", range(12))
def test_streams_are_the_same_after_any_life(broker: Broker, seed: int) -> None:
    chance = random.Random(seed)
    topics = ["a", "b", "c"]
    histories = [None, History(3, 50), History(100, 20), History(5, 4000)]
    for n in range(200):
        match chance.randrange(12):
            case 0:
                broker.commit()
            case 1:
                broker.pass_time(chance.choice([1, 30, IDLE_SECONDS * 2]))
            case 2:
                broker.store.sweep()
            case 3:
                before = answers(broker.store, topics)
                broker.restart()
                assert answers(broker.store, topics) == before
            case _:
                broker.store.publish(chance.choice(topics), b"%d" % n, chance.choice(histories))


def test_the_age_of_events_counts_over_a_restart(broker: Broker) -> None:
    position = broker.store.publish("t", b"x", History(10, 60)).position
    broker.pass_time(50)
    broker.restart()
    before = Position(position.epoch, 0)
    assert isinstance(broker.store.read("t", before, 10), Page)
    broker.pass_time(20)
    assert broker.store.read("t", before, 10) == Gap(position)


def test_nothing_is_written_of_what_came_and_went(broker: Broker) -> None:
    broker.commit()
    broker.queues.send("c", b"x", capacity=10)
    [delivery] = broker.queues.receive("c", limit=1, lease=10.0, tries=5)
    broker.queues.ack("c", delivery.receipt)
    assert not broker.commit()


def test_the_data_of_a_message_is_written_once(broker: Broker) -> None:
    broker.queues.send("c", b"x" * 1000, capacity=10)
    assert "new_message" in broker.commit().rows
    broker.queues.receive("c", limit=1, lease=10.0, tries=5)
    rows = broker.commit().rows
    assert set(rows) == {"change_message"}
    assert b"x" * 1000 not in rows["change_message"][0]


def test_what_is_gone_is_gone_from_the_file(broker: Broker) -> None:
    for n in range(50):
        broker.store.publish("t", b"%d" % n, History(5, 600))
        broker.queues.send("c", b"x", capacity=100)
        broker.commit()
    broker.queues.purge("c")
    broker.commit()
    broker.close()
    with sqlite3.connect(broker.path) as found:
        assert found.execute("SELECT count(*) FROM events").fetchone() == (5,)
        assert found.execute("SELECT count(*) FROM messages").fetchone() == (0,)
    found.close()
    broker.open()


def test_nobody_else_may_open_it(broker: Broker) -> None:
    with pytest.raises(LayerUnavailable, match="locked"):
        Database(broker.path)


def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite3"
    other = sqlite3.connect(path)
    other.executescript("CREATE TABLE precious (x); PRAGMA user_version = 7;")
    other.close()
    with pytest.raises(LayerUnavailable, match="not a journal of this version"):
        Database(path)


def test_behind_a_row_that_is_gone_nothing_is_kept(broker: Broker) -> None:
    for data in (b"1", b"2", b"3", b"4"):
        last = broker.store.publish("t", data, History(size=10, seconds=60))
    position = last.position
    broker.commit()
    broker.journal.database.close()
    with sqlite3.connect(broker.path) as connection:
        connection.execute("DELETE FROM events WHERE offset = 2")
    connection.close()
    broker.open()
    assert isinstance(broker.store.read("t", Position(position.epoch, 1), 10), Gap)
    page = broker.store.read("t", Position(position.epoch, 2), 10)
    assert isinstance(page, Page)
    assert [event.data for event in page.publications] == [b"3", b"4"]
