"""The store of channels against a model that is too simple to be wrong, over random schedules.

The model is a list in the order of age. Now and then the store is written down and read again, as
the durable broker does it: nobody may notice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)

from seaway.exceptions import ChannelClosed, ChannelFull
from seaway.layers.local.database import Database
from seaway.layers.local.journal import Journal
from seaway.layers.memory.dead_letters import DEAD_LETTERS
from seaway.layers.memory.queue_store import QueueStore
from seaway.layers.memory.store import Store
from seaway.layers.queues import ONCE_SECONDS, QueueState
from tests.layers.clock import Clock

CHANNEL = "c"


@dataclass
class Mail:
    """What the model knows of one message."""

    id: str
    data: bytes
    order: str
    due: float
    expires: float
    attempts: int = 0
    receipt: str = ""
    until: float = 0.0
    tries: int = 0
    holder: str | None = None


@dataclass
class Model:
    """The contract, said in the simplest way."""

    mails: list[Mail] = field(default_factory=list)
    dead: list[Mail] = field(default_factory=list)
    once: dict[str, tuple[float, str]] = field(default_factory=dict)
    closed: bool = False

    def pass_time(self, now: float) -> None:
        lapsed = [mail for mail in self.mails if mail.receipt and mail.until <= now]
        for mail in sorted(lapsed, key=lambda mail: mail.until):
            self.give_back(mail)
        self.mails = [
            mail for mail in self.mails if mail.receipt or mail.attempts or mail.expires > now
        ]
        self.once = {key: found for key, found in self.once.items() if found[0] > now}

    def give_back(self, mail: Mail, due: float = 0.0, *, dead: bool = False) -> None:
        mail.receipt, mail.holder, mail.due = "", None, due
        if dead or mail.attempts >= mail.tries:
            self.mails.remove(mail)
            self.dead.append(mail)

    def blocked(self, mail: Mail) -> bool:
        line = [other for other in self.mails if other.order == mail.order]
        return bool(mail.order) and line[0] is not mail

    def ready(self, now: float) -> list[Mail]:
        return [
            mail
            for mail in self.mails
            if not mail.receipt and mail.due <= now and not self.blocked(mail)
        ]

    def held(self, receipt: str) -> Mail | None:
        return next((mail for mail in self.mails if mail.receipt == receipt), None)

    def state(self, now: float) -> QueueState:
        held = sum(bool(mail.receipt) for mail in self.mails)
        delayed = sum(
            not mail.receipt and mail.due > now and not self.blocked(mail) for mail in self.mails
        )
        waiting = len(self.mails) - held - delayed
        return QueueState(waiting, delayed, held, len(self.dead), self.closed)

    def next_change(self, now: float) -> float:
        times = [mail.until for mail in self.mails if mail.receipt]
        times += [mail.expires for mail in self.mails if not mail.receipt and not mail.attempts]
        times += [
            mail.due
            for mail in self.mails
            if not mail.receipt and mail.due > now and not self.blocked(mail)
        ]
        return min(times, default=math.inf)


class Channels(RuleBasedStateMachine):
    """Everything that can be done to one channel, in any order."""

    receipts = Bundle("receipts")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.directory = TemporaryDirectory()
        self.path = Path(self.directory.name) / "journal"
        self.journal = Journal(Database(self.path), self.clock, self.clock)
        self.store = QueueStore(self.clock, self.clock, self.journal)
        self.journal.restore(Store(self.clock), self.store)
        self.model = Model()
        self.count = 0

    def teardown(self) -> None:
        self.journal.database.close()
        self.directory.cleanup()

    @rule(
        capacity=st.integers(1, 8),
        delay=st.sampled_from([0.0, 0.0, 1.0, 5.0]),
        ttl=st.sampled_from([None, None, 2.0, 6.0]),
        order=st.sampled_from(["", "", "a", "b"]),
        once=st.sampled_from(["", "", "k", "l"]),
    )
    def send(self, capacity: int, delay: float, ttl: float | None, order: str, once: str) -> None:
        self.count += 1
        data = b"%d" % self.count
        model, now = self.model, self.clock.now
        try:
            id_ = self.store.send(
                CHANNEL, data, capacity=capacity, delay=delay, ttl=ttl, order=order, once=once
            )
        except ChannelFull:
            assert len(model.mails) >= capacity
            assert not model.closed
            assert once not in model.once
        except ChannelClosed:
            assert model.closed
            assert once not in model.once
        else:
            if once in model.once:
                assert id_ == model.once[once][1]
                return
            assert not model.closed
            assert len(model.mails) < capacity
            assert id_ not in {mail.id for mail in (*model.mails, *model.dead)}
            expires = math.inf if ttl is None else now + ttl
            model.mails.append(Mail(id_, data, order, now + delay if delay else 0.0, expires))
            if once:
                model.once[once] = (now + ONCE_SECONDS, id_)

    @rule(
        target=receipts,
        limit=st.integers(1, 3),
        lease=st.sampled_from([1.0, 3.0, 50.0]),
        tries=st.integers(1, 3),
        holder=st.sampled_from(["ann", "bob"]),
    )
    def receive(self, limit: int, lease: float, tries: int, holder: str) -> Any:
        model, now = self.model, self.clock.now
        try:
            found = self.store.receive(
                CHANNEL, limit=limit, lease=lease, tries=tries, holder=holder
            )
        except ChannelClosed:
            assert model.closed
            assert not model.mails
            return multiple()
        assert not (model.closed and not model.mails)
        # The first of each order, the oldest first; taking one does not free the next of its order.
        wanted = model.ready(now)[:limit]
        assert [delivery.id for delivery in found] == [mail.id for mail in wanted]
        for mail, delivery in zip(wanted, found, strict=True):
            mail.attempts += 1
            assert (delivery.data, delivery.attempt) == (mail.data, mail.attempts)
            mail.receipt, mail.until, mail.tries = delivery.receipt, now + lease, tries
            mail.holder = holder
        return multiple(*(delivery.receipt for delivery in found))

    @rule(receipt=receipts)
    def ack(self, receipt: str) -> None:
        mail = self.model.held(receipt)
        assert self.store.ack(CHANNEL, receipt) is (mail is not None)
        if mail is not None:
            self.model.mails.remove(mail)

    @rule(receipt=receipts, delay=st.sampled_from([0.0, 0.0, 2.0]), dead=st.booleans())
    def nack(self, receipt: str, delay: float, dead: bool) -> None:
        mail = self.model.held(receipt)
        done = self.store.nack(CHANNEL, receipt, delay=delay, dead=dead, reason="")
        assert done is (mail is not None)
        if mail is not None:
            self.model.give_back(mail, self.clock.now + delay if delay else 0.0, dead=dead)

    @rule(receipt=receipts, seconds=st.sampled_from([0.5, 4.0, 20.0]))
    def extend(self, receipt: str, seconds: float) -> None:
        mail = self.model.held(receipt)
        assert self.store.extend(CHANNEL, receipt, seconds) is (mail is not None)
        if mail is not None:
            mail.until = self.clock.now + seconds

    @rule(receipt=receipts)
    def release(self, receipt: str) -> None:
        self.store.release(CHANNEL, [receipt])
        mail = self.model.held(receipt)
        if mail is not None:
            mail.attempts -= 1
            mail.receipt, mail.holder, mail.due = "", None, 0.0
            self.model.pass_time(self.clock.now)

    @rule(holder=st.sampled_from(["ann", "bob"]))
    def drop_holder(self, holder: str) -> None:
        self.store.drop_holder(holder)
        for mail in [mail for mail in self.model.mails if mail.holder == holder]:
            self.model.give_back(mail)
            self.model.pass_time(self.clock.now)

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 10.0]))
    def pass_time(self, seconds: float) -> None:
        # In one leap or step by step, as those do who wait.
        end = self.clock.now + seconds
        while (when := self.model.next_change(self.clock.now)) <= end:
            self.clock.now = max(self.clock.now, when)
            self.model.pass_time(self.clock.now)
        self.clock.now = end
        self.model.pass_time(end)

    @rule(closed=st.booleans())
    def close(self, closed: bool) -> None:
        self.store.set_closed(CHANNEL, closed)
        self.model.closed = closed

    @rule()
    def purge(self) -> None:
        assert self.store.purge(CHANNEL) == len(self.model.mails)
        self.model.mails.clear()

    @rule(some=st.none() | st.integers(0, 2))
    def replay(self, some: int | None) -> None:
        chosen = self.model.dead[:] if some is None else self.model.dead[some : some + 1]
        ids = None if some is None else [mail.id for mail in chosen]
        assert self.store.replay(CHANNEL, ids) == len(chosen)
        for mail in chosen:
            self.model.dead.remove(mail)
            self.model.mails.append(Mail(mail.id, mail.data, mail.order, 0.0, math.inf))

    @rule(some=st.none() | st.integers(0, 2))
    def discard(self, some: int | None) -> None:
        chosen = self.model.dead[:] if some is None else self.model.dead[some : some + 1]
        ids = None if some is None else [mail.id for mail in chosen]
        assert self.store.discard(CHANNEL, ids) == len(chosen)
        for mail in chosen:
            self.model.dead.remove(mail)

    @rule()
    def sweep(self) -> None:
        self.store.sweep()

    @rule()
    def restart(self) -> None:
        changes = self.journal.take()
        self.journal.database.write(changes)
        self.journal.database.close()
        self.journal = Journal(Database(self.path), self.clock, self.clock)
        self.store = QueueStore(self.clock, self.clock, self.journal)
        self.journal.restore(Store(self.clock), self.store)

    @invariant()
    def the_numbers_agree(self) -> None:
        assert self.store.state(CHANNEL) == self.model.state(self.clock.now)
        in_use = self.model.mails or self.model.dead or self.model.closed
        assert self.store.channels() == ([CHANNEL] if in_use else [])

    @invariant()
    def the_dead_agree(self) -> None:
        letters = self.store.dead_letters(CHANNEL, 100)
        assert sorted((letter.id, letter.attempts) for letter in letters) == sorted(
            (mail.id, mail.attempts) for mail in self.model.dead
        )

    @invariant()
    def who_waits_is_woken_in_time(self) -> None:
        assert self.store.next_change(CHANNEL) == pytest.approx(
            self.model.next_change(self.clock.now)
        )


TestChannels = Channels.TestCase
TestChannels.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


# Bounds ------------------------------------------------------------------------------------------


def test_what_expires_unseen_leaves_nothing_behind() -> None:
    clock = Clock()
    store = QueueStore(clock)
    for _ in range(5000):
        store.send(CHANNEL, b"x", capacity=10, ttl=1.0)
        clock.now += 1.0
    state = store._channels[CHANNEL]
    assert len(state._ready) + len(state._expiring) < 300


def test_what_is_extended_for_ever_takes_no_more_room() -> None:
    clock = Clock()
    store = QueueStore(clock)
    store.send(CHANNEL, b"x", capacity=10)
    [delivery] = store.receive(CHANNEL, limit=1, lease=10.0, tries=5)
    for _ in range(5000):
        assert store.extend(CHANNEL, delivery.receipt, 1e6)
    assert len(store._channels[CHANNEL]._leases) < 100


def test_a_channel_that_nobody_uses_is_forgotten() -> None:
    clock = Clock()
    store = QueueStore(clock)
    store.send(CHANNEL, b"x", capacity=10, ttl=5.0, once="k")
    clock.now += 10
    store.sweep()
    assert len(store) == 1  # it has seen a ``once``
    clock.now += ONCE_SECONDS
    store.sweep()
    assert len(store) == 0


def test_the_oldest_dead_letters_give_way(caplog: pytest.LogCaptureFixture) -> None:
    store = QueueStore()
    ids = [store.send(CHANNEL, b"x", capacity=10**9) for _ in range(DEAD_LETTERS + 2)]
    for delivery in store.receive(CHANNEL, limit=10**9, lease=10.0, tries=5):
        store.nack(CHANNEL, delivery.receipt, dead=True, reason="broken")
    letters = store.dead_letters(CHANNEL, 10**9)
    assert [letter.id for letter in letters] == ids[2:]
    assert "gave way" in caplog.text


def test_one_answer_holds_so_many_bytes() -> None:
    store = QueueStore()
    for _ in range(6):
        store.send(CHANNEL, bytes(3 * 2**20), capacity=10)
    assert len(store.receive(CHANNEL, limit=6, lease=10.0, tries=5)) == 1
