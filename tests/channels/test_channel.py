"""Channels as a project uses them, on the memory layer."""

from __future__ import annotations

import asyncio
import math
from datetime import date
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction

from seaway import Channel, ChannelClosed, ChannelFull, InvalidName, UnencodablePayload, channel
from seaway.channels.delivery import Delivery
from seaway.conf import layer_home
from seaway.exceptions import SyncCallInLoop


async def received(source: Channel) -> Delivery:
    delivery = await source.receive(wait=10)
    assert delivery is not None
    return delivery


@pytest.mark.parametrize("name", ["", "two words", "a" * 201, 'quoted"'])
def test_a_name_that_is_not_legal_is_refused_at_once(name: str) -> None:
    with pytest.raises(InvalidName, match="not a legal channel name"):
        channel(name)


@pytest.mark.parametrize("numbers", [{"capacity": 0}, {"lease": 0}, {"tries": 0}])
def test_numbers_that_make_no_sense_are_refused(numbers: Any) -> None:
    with pytest.raises(ValueError, match="capacity >= 1"):
        channel("work", **numbers)


async def test_what_is_put_in_comes_out_once_and_in_order() -> None:
    work = channel("work")
    for number in range(3):
        await work.send({"number": number})
    for number in range(3):
        async with await received(work) as value:
            assert value == {"number": number}
    assert await work.receive(wait=0) is None


async def test_a_value_is_anything_that_json_can_carry() -> None:
    work = channel("work")
    await work.send([date(2026, 1, 2), "ü", None])
    assert (await received(work)).value == ["2026-01-02", "ü", None]
    with pytest.raises(UnencodablePayload, match="The value"):
        await work.send(object())


async def test_a_sender_waits_while_the_channel_is_full() -> None:
    work = channel("work", capacity=1)
    await work.send(1)
    with pytest.raises(ChannelFull):
        await work.send(2, wait=0)
    waiting = asyncio.create_task(work.send(2))
    async with await received(work) as value:
        assert value == 1
    await asyncio.wait_for(waiting, 10)
    assert (await received(work)).value == 2


async def test_after_an_exception_the_value_comes_again() -> None:
    work = channel("work")
    await work.send("fragile")
    first = await received(work)
    with pytest.raises(RuntimeError, match="dropped"):
        async with first:
            raise RuntimeError("dropped")
    second = await received(work)
    assert (second.id, second.attempt, second.value) == (first.id, 2, "fragile")


async def test_after_its_tries_a_value_is_a_dead_letter_with_the_reason() -> None:
    work = channel("work", tries=1)
    await work.send("cursed")
    with pytest.raises(RuntimeError):
        async with await received(work):
            raise RuntimeError("never\nagain")
    assert (await work.state()).dead == 1
    [letter] = await layer_home().arun(lambda layer: layer.dead_letters("work"))
    assert (letter.data, letter.reason) == (b'"cursed"', "RuntimeError: never again")


async def test_a_lease_is_extended_while_the_block_runs() -> None:
    work = channel("work", lease=1)
    await work.send("slow")
    async with await received(work):
        assert await work.receive(wait=2.2) is None, "another receiver must not get it meanwhile"
    assert (await work.state()).held == 0


async def test_a_lease_that_ran_out_gives_the_value_to_another() -> None:
    work = channel("work", lease=0.05)
    await work.send("forgotten")
    first = await received(work)
    second = await received(work)
    assert second.attempt == 2
    assert not await first.ack()
    assert await second.ack()


async def test_what_is_not_json_is_a_dead_letter_and_the_next_is_received() -> None:
    work = channel("work")
    await layer_home().arun(lambda layer: layer.send("work", b"\xff not json"))
    await work.send("fine")
    assert (await received(work)).value == "fine"
    assert (await work.state()).dead == 1


async def test_a_loop_over_a_channel_ends_when_it_is_closed_and_empty() -> None:
    work = channel("work")
    for number in range(3):
        await work.send(number)
    await work.close()
    seen = []
    async for delivery in work:
        async with delivery as value:
            seen.append(value)
    assert seen == [0, 1, 2]
    with pytest.raises(ChannelClosed):
        await work.send(3)
    await work.open()
    await work.send(3)


async def test_a_receiver_that_waits_is_woken_by_a_sender() -> None:
    work = channel("work")
    waiting = asyncio.create_task(work.receive(wait=math.inf))
    await asyncio.sleep(0)
    await work.send("hello")
    delivery = await asyncio.wait_for(waiting, 10)
    assert delivery is not None
    assert delivery.value == "hello"


async def test_a_cancelled_receiver_takes_nothing() -> None:
    work = channel("work")
    waiting = asyncio.create_task(work.receive())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await work.send("kept")
    delivery = await received(work)
    assert (delivery.value, delivery.attempt) == ("kept", 1)


async def test_once_adds_nothing_the_second_time() -> None:
    work = channel("work")
    first = await work.send("pay", once="invoice-7")
    assert await work.send("pay", once="invoice-7") == first
    await (await received(work)).ack()
    assert await work.receive(wait=0) is None


def test_put_and_take_are_for_synchronous_code() -> None:
    work = channel("work")
    assert work.put({"a": 1})
    delivery = work.take(wait=10)
    assert delivery is not None
    with delivery as value:
        assert value == {"a": 1}
    assert work.take() is None


def test_with_gives_a_value_back_after_an_exception() -> None:
    work = channel("work")
    work.put(1)
    delivery = work.take(wait=10)
    assert delivery is not None
    with pytest.raises(RuntimeError), delivery:
        raise RuntimeError
    again = work.take(wait=10)
    assert again is not None
    assert again.attempt == 2


async def test_put_in_a_running_loop_says_what_to_do() -> None:
    with pytest.raises(SyncCallInLoop, match=r"await send\(\) instead"):
        channel("work").put(1)
    with pytest.raises(SyncCallInLoop, match=r"await receive\(\) instead"):
        channel("work").take()


@pytest.mark.django_db(transaction=True)
async def test_and_says_it_in_a_transaction_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deferred here and refused elsewhere, it would be right or wrong by the weather."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    work = channel("work")
    with transaction.atomic():
        with pytest.raises(SyncCallInLoop, match=r"await send\(\) instead"):
            work.put(1)
        await work.send(2)
        assert (await received(work)).value == 2, "sent at once"
    assert await work.receive(wait=0) is None


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_a_value_goes_out_after_the_commit() -> None:
    work = channel("work")
    value = {"state": "before"}
    with transaction.atomic():
        assert work.put(value) is None
        value["state"] = "after"
        assert work.take() is None
    delivery = work.take(wait=10)
    assert delivery is not None
    assert delivery.value == {"state": "before"}


@pytest.mark.django_db(transaction=True)
def test_asynchronous_code_below_a_view_can_wait_for_its_commit() -> None:
    work = channel("work")

    async def below() -> None:
        assert await sync_to_async(work.put)(1) is None

    with transaction.atomic():
        async_to_sync(below)()
        assert work.take() is None
    assert work.take(wait=10) is not None


@pytest.mark.django_db(transaction=True)
def test_after_a_rollback_nothing_goes_out() -> None:
    work = channel("work")
    with transaction.atomic():
        work.put(1)
        transaction.set_rollback(True)
    assert work.take() is None


async def test_threads_and_loops_meet_in_one_channel() -> None:
    work = channel("work")
    await sync_to_async(work.put)("from a thread")
    assert (await received(work)).value == "from a thread"


@pytest.mark.parametrize("data", [b"\xff", b"[" * 100_000], ids=["no text", "too deep"])
async def test_what_no_receiver_can_read_is_dead_and_the_next_value_comes(data: bytes) -> None:
    work = channel("work")
    await layer_home().arun(lambda layer: layer.send("work", data))
    await work.send("next")
    assert (await received(work)).value == "next"
    letters = await layer_home().arun(lambda layer: layer.dead_letters("work"))
    assert [letter.reason for letter in letters] == ["It is not JSON."]
