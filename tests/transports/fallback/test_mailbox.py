"""Questions between processes: here two mailboxes on one layer, and none that answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from seaway.exceptions import LayerUnavailable
from seaway.layers.base import Gap, Position
from seaway.layers.hub import Hub
from seaway.layers.memory.layer import MemoryLayer
from seaway.transports import mailbox
from seaway.transports.letters import topic_of
from seaway.transports.mailbox import Mailbox, NoAnswer


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is noticed within a tenth of a second."""
    monkeypatch.setattr(mailbox, "SILENCE_SECONDS", 0.05)
    monkeypatch.setattr(mailbox, "RETRY_SECONDS", 0.01)


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    layer = MemoryLayer()
    hub = Hub(layer)
    await layer.start(hub)
    yield hub
    await hub.close()
    await layer.close()


class Pair:
    """Ann asks; Bob answers with ``answer``."""

    def __init__(self, hub: Hub) -> None:
        self.answer: Callable[[bytes], Any] = _reversed
        self.ann = Mailbox(hub, _refuse)
        self.bob = Mailbox(hub, self._answer)

    async def _answer(self, question: bytes) -> bytes:
        answer: bytes = await self.answer(question)
        return answer

    async def ask(self, question: bytes) -> bytes:
        await self.bob.open()
        return await asyncio.wait_for(self.ann.ask(self.bob.address, question), 20)


async def _reversed(question: bytes) -> bytes:
    return question[::-1]


async def _refuse(_question: bytes) -> bytes:
    raise AssertionError("Ann is not asked")


@pytest.fixture
async def pair(hub: Hub) -> AsyncIterator[Pair]:
    pair = Pair(hub)
    yield pair
    await pair.ann.end()
    await pair.bob.end()


async def test_a_question_is_answered(pair: Pair) -> None:
    assert await pair.ask(b"abc") == b"cba"
    assert await pair.ask(b"") == b""


async def test_many_questions_at_once(pair: Pair) -> None:
    questions = [b"%d" % number for number in range(100, 200)]
    answers = await asyncio.gather(*map(pair.ask, questions))
    assert answers == [question[::-1] for question in questions]


@pytest.mark.parametrize("size", [95, 96, 97, 10_000])
async def test_long_ones_travel_in_parts(hub: Hub, pair: Pair, size: int) -> None:
    hub.layer.max_data = 200
    question = bytes(range(256)) * (size // 256 + 1)
    assert await pair.ask(question[:size]) == question[:size][::-1]


async def test_an_answer_may_take_its_time(pair: Pair) -> None:
    """Far longer than silence is suffered: the probes are answered meanwhile."""

    async def slowly(question: bytes) -> bytes:
        await asyncio.sleep(0.5)
        return question

    pair.answer = slowly
    assert await pair.ask(b"abc") == b"abc"


async def test_nobody_answers_for_a_process_that_is_gone(pair: Pair) -> None:
    with pytest.raises(NoAnswer, match="gone"):
        await asyncio.wait_for(pair.ann.ask("nobody", b"abc"), 20)
    assert await pair.ask(b"abc") == b"cba", "others are not concerned"


async def test_a_question_that_was_lost_is_noticed(
    hub: Hub, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = hub.layer.publish

    async def losing(topic: str, data: bytes, history: Any = None) -> Position:
        lost = topic == topic_of(pair.bob.address) and b"lose me" in data
        return await publish("~p/lost" if lost else topic, data, history)

    monkeypatch.setattr(hub.layer, "publish", losing)
    with pytest.raises(NoAnswer, match="does not know"):
        await pair.ask(b"lose me")


async def test_an_answer_that_fails_is_logged_and_noticed(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(_question: bytes) -> bytes:
        raise RuntimeError("the answerer's own")

    pair.answer = fails
    with caplog.at_level(logging.ERROR), pytest.raises(NoAnswer):
        await pair.ask(b"abc")
    assert "the answerer's own" in caplog.text


async def test_a_layer_that_does_not_take_the_question_is_told(
    hub: Hub, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pair.ann.open()

    async def fails(*_: Any) -> Position:
        raise LayerUnavailable("no answer")

    monkeypatch.setattr(hub.layer, "publish", fails)
    with pytest.raises(LayerUnavailable):
        await pair.ask(b"abc")


async def test_after_a_gap_the_mailbox_is_followed_again(
    hub: Hub, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await pair.ask(b"abc") == b"cba"
    topic, before = topic_of(pair.bob.address), pair.bob._subscription
    elsewhere = Position("another life", 7)

    async def gone(*_: Any, **__: Any) -> Gap:
        return Gap(elsewhere)

    with monkeypatch.context() as patch:
        patch.setattr(hub.layer, "read", gone)
        hub.restored(topic, elsewhere)
        async with asyncio.timeout(20):
            while pair.bob._subscription in (None, before):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    assert await pair.ask(b"abc") == b"cba"


async def test_at_the_end_nothing_is_waited_for(pair: Pair) -> None:
    forever = asyncio.Event()

    async def never(_question: bytes) -> bytes:
        await forever.wait()
        return b""

    pair.answer = never
    asked = asyncio.ensure_future(pair.ask(b"abc"))
    async with asyncio.timeout(20):
        while not pair.bob._working:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    await pair.ann.end()
    with pytest.raises(NoAnswer, match="ends"):
        await asked
