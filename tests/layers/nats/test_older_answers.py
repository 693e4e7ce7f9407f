"""Answers of a cluster that are older than what was seen: each a true one, that comes once more.

Which server answers when is chance; so what it had said before is put in the place of what it says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from seaway.layers.base import Gap, Page, Position
from seaway.layers.nats.answers import Stored
from seaway.layers.nats.archive import Archive, Batch
from seaway.layers.nats.engine import Engine
from seaway.layers.nats.layer import NatsLayer
from seaway.layers.nats.requests import Message, NoAnswer
from seaway.testing.layer_contract import KEPT, TOPIC
from tests.layers.nats.support import namespace, nats_layer, stored
from tests.servers.nats import NatsCluster

pytestmark = pytest.mark.asyncio


class Deaf:
    """Hears what its layer tells, and does nothing with it."""

    def published(self, *_: object) -> None: ...
    def presence_changed(self, *_: object) -> None: ...
    def restored(self, *_: object) -> None: ...


@pytest_asyncio.fixture
async def pair(cluster: NatsCluster) -> AsyncIterator[tuple[NatsLayer, NatsLayer]]:
    """Two processes on a cluster."""
    name = namespace()
    layers = nats_layer(f"{cluster.url}?timeout=20", name), nats_layer(cluster.url, name)
    for layer in layers:
        await layer.start(Deaf())
    yield layers
    for layer in layers:
        await layer.close()


class Repeats:
    """In the place of `Archive.last`: of topics, says so many times what it has said before."""

    def __init__(self, archive: Archive, times: int) -> None:
        self._ask = archive.last
        self._old: Stored | None = None
        self.times = 0
        self._wanted = times

    async def remember(self, stream: str, subject: str) -> None:
        self._old = await self._ask(stream, subject)
        self.times = self._wanted

    async def __call__(self, stream: str, subject: str, deadline: float = 0.0) -> Stored | None:
        if self.times and ".t." in subject:
            self.times -= 1
            return self._old
        return await self._ask(stream, subject, deadline)


async def repeating(monkeypatch: pytest.MonkeyPatch, layer: NatsLayer, times: int) -> Repeats:
    """From now on, where topics stand is said as it is at present, so many times."""
    repeats = Repeats(layer._jetstream.archive, times)
    await repeats.remember(layer._streams.topics, layer._subjects.topic(TOPIC))
    monkeypatch.setattr(layer._jetstream.archive, "last", repeats)
    return repeats


async def test_a_client_that_saw_more_is_not_told_of_a_gap(
    pair: tuple[NatsLayer, NatsLayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    await there.publish(TOPIC, b"1", KEPT)
    repeats = await repeating(monkeypatch, here, 3)
    last = await there.publish(TOPIC, b"2", KEPT)
    answer = await here.read(TOPIC, last)
    assert isinstance(answer, Page)
    assert (answer.position, answer.publications) == (last, ())
    assert not repeats.times


async def test_who_claims_to_have_seen_what_nobody_published_is_told_of_a_gap(
    pair: tuple[NatsLayer, NatsLayer],
) -> None:
    here, _ = pair
    last = await here.publish(TOPIC, b"1", KEPT)
    root = here._epochs.root
    stored_before = here._epochs.seen
    answer = await here.read(TOPIC, Position(last.epoch, 10**9))
    assert isinstance(answer, Gap)
    assert answer.position == last
    assert (here._epochs.root, here._epochs.seen) == (root, stored_before), "nothing was stored"


async def test_what_this_process_was_told_is_held_against_answers(
    pair: tuple[NatsLayer, NatsLayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    await there.publish(TOPIC, b"1", KEPT)
    repeats = await repeating(monkeypatch, here, 2)
    last = await here.publish(TOPIC, b"2", KEPT)
    repeats.times = 2
    assert await here.position(TOPIC) == last


async def test_an_answer_that_stays_older_is_proved_and_begins_no_epoch(
    pair: tuple[NatsLayer, NatsLayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    await there.publish(TOPIC, b"1", KEPT)
    repeats = await repeating(monkeypatch, here, 0)
    last = await there.publish(TOPIC, b"2", KEPT)
    assert await here.position(TOPIC) == last
    root, seen = here._epochs.root, here._epochs.seen
    repeats.times = 5  # as often as it is asked before that
    assert await here.position(TOPIC) == last
    assert here._epochs.root == root
    assert here._epochs.seen > seen, "it was found out by storing"
    assert not await here._epochs.check()
    assert not await there._epochs.check()
    assert there._epochs.root == root


async def test_events_that_servers_do_not_have_yet_are_asked_of_the_leader(
    pair: tuple[NatsLayer, NatsLayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    before = await here.position(TOPIC)
    for n in range(5):
        await there.publish(TOPIC, b"%d" % n, KEPT)

    async def behind(*_: Any) -> Batch:
        return Batch((), 0)

    monkeypatch.setattr(here._jetstream.archive, "batch", behind)
    assert [one.data for one in await stored(here, before)] == [b"%d" % n for n in range(5)]


async def test_an_event_is_not_published_again_because_of_an_older_answer(
    pair: tuple[NatsLayer, NatsLayer], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    before = await there.publish(TOPIC, b"1", KEPT)
    repeats = await repeating(monkeypatch, here, 1)
    ask = here._engine.ask
    lost: list[str] = []

    async def lose_one(engine: Engine, subject: str, *rest: Any) -> Message:
        answer = await ask(subject, *rest)
        if ".t." in subject and not lost:
            lost.append(subject)
            repeats.times = 3
            raise NoAnswer("the test has lost it")
        return answer

    monkeypatch.setattr(here._engine, "ask", lambda *words: lose_one(here._engine, *words))
    position = await here.publish(TOPIC, b"2", KEPT)
    assert lost
    assert [(one.position, one.data) for one in await stored(there, before)] == [(position, b"2")]
