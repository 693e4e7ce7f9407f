"""Calls that take effect once, on the memory layer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from seaway import ActionError, Topic, action
from seaway.auth import Visitor
from seaway.conf import layer_home
from seaway.exceptions import (
    InvalidArguments,
    LayerUnavailable,
    NotRepeatable,
    OutcomeUnknown,
    TopicError,
    Unavailable,
)
from seaway.layers.base import Layer
from seaway.topics import once
from seaway.topics.membership import Membership
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

KEY, OTHER = "k" * 16, "o" * 16


class Desk:
    """What a ticket desk has done, and its topic."""

    def __init__(self) -> None:
        sold = self.sold = list[int]()
        self.pause = asyncio.Event()
        self.pause.set()
        pause = self.pause

        class TicketDesk(Topic):
            route = "desks/<int:desk>"

            async def join(self, desk: int) -> None: ...

            @action(once=True)
            async def sell(self, seat: int) -> dict[str, int]:
                sold.append(seat)
                await pause.wait()
                if seat == 13:
                    raise ActionError("Nobody sits there.", code="unlucky", data={"seat": seat})
                return {"sold": len(sold)}

            @action(once=True)
            def sell_at_once(self) -> int:
                sold.append(0)
                return len(sold)

            @action
            async def look(self) -> int:
                return len(sold)

    async def call(
        self, name: str, args: dict[str, Any] | None = None, key: str = "", desk: int = 7
    ) -> Any:
        """As any process of the project would run it: each attempt has a membership of its own."""
        membership = Membership.open(f"desks/{desk}", Visitor(), "c1")
        await membership.join()
        return json.loads(await membership.call(name, json.dumps(args or {}).encode(), key))


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_repeated_call_gets_the_first_ones_answer(desk: Desk) -> None:
    answers = [await desk.call("sell", {"seat": 1}, KEY) for _ in range(3)]
    assert answers == [{"sold": 1}] * 3
    assert desk.sold == [1]
    assert await desk.call("sell_at_once", key=KEY) == 2
    assert await desk.call("sell_at_once", key=KEY) == 2


async def test_other_keys_and_topics_are_other_calls(desk: Desk) -> None:
    await desk.call("sell", {"seat": 1}, KEY)
    await desk.call("sell", {"seat": 2}, OTHER)
    await desk.call("sell", {"seat": 3}, KEY, desk=8)
    await desk.call("sell", {"seat": 4})
    await desk.call("sell", {"seat": 4})
    assert desk.sold == [1, 2, 3, 4, 4]


async def test_attempts_at_one_time_run_it_once_and_wait_for_it(desk: Desk) -> None:
    desk.pause.clear()
    attempts = [asyncio.create_task(desk.call("sell", {"seat": 1}, KEY)) for _ in range(20)]
    await until(lambda: desk.sold == [1])
    _, waiting = await asyncio.wait(attempts, timeout=0.2)
    assert len(waiting) == 20
    desk.pause.set()
    assert await asyncio.gather(*attempts) == [{"sold": 1}] * 20
    assert desk.sold == [1]


async def test_a_refusal_is_remembered(desk: Desk) -> None:
    for _ in range(2):
        with pytest.raises(TopicError) as refused:
            await desk.call("sell", {"seat": 13}, KEY)
        error = refused.value
        assert (error.code, error.message, error.data) == (
            "unlucky", "Nobody sits there.", {"seat": 13},
        )  # fmt: skip
    assert desk.sold == [13]


async def test_arguments_that_are_wrong_leave_no_trace(desk: Desk) -> None:
    with pytest.raises(InvalidArguments):
        await desk.call("sell", {"seat": "1"}, KEY)
    assert await desk.call("sell", {"seat": 1}, KEY) == {"sold": 1}


async def test_an_action_that_does_not_say_so_takes_no_key(desk: Desk) -> None:
    with pytest.raises(NotRepeatable, match="look"):
        await desk.call("look", key=KEY)
    assert await desk.call("look") == 0


async def test_an_attempt_that_never_ended_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "PATIENCE", 0.2)
    desk.pause.clear()
    dying = asyncio.create_task(desk.call("sell", {"seat": 1}, KEY))
    await until(lambda: desk.sold == [1])
    dying.cancel()
    await asyncio.wait([dying])
    with pytest.raises(OutcomeUnknown):
        await desk.call("sell", {"seat": 1}, KEY)
    assert desk.sold == [1]


async def test_without_a_layer_nothing_runs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(layer: Layer) -> None:
        async def publish(*args: object, **options: object) -> None:
            raise LayerUnavailable("It is away.")

        monkeypatch.setattr(layer, "publish", publish)

    await layer_home().arun(away)
    with pytest.raises(Unavailable):
        await desk.call("sell", {"seat": 1}, KEY)
    assert desk.sold == []
