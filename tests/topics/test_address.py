"""Publishing from anywhere, and its order relative to transactions, on the memory layer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections, transaction
from django.test import override_settings
from django.utils.connection import ConnectionDoesNotExist

from seaway import History, Position, Topic, TopicAddress
from seaway.conf import layer_home
from seaway.exceptions import InvalidName, PayloadTooLarge, SyncCallInLoop, UnencodablePayload
from seaway.layers.base import Layer, Page


@pytest.fixture
def room() -> TopicAddress:
    class Room(Topic):
        route = "rooms/<int:room>"
        history = History(size=50)

    return Room.at(room=7)


def published(address: TopicAddress) -> list[Any]:
    """The events of an address that the layer has, as (event, data)."""
    page = layer_home().run(lambda layer: _read(layer, address.name))
    return [(event["event"], event["data"]) for event in map(json.loads, page)]


async def _read(layer: Layer, name: str) -> list[bytes]:
    now = await layer.position(name)
    page = await layer.read(name, Position(now.epoch, 0))
    assert isinstance(page, Page)
    return [publication.data for publication in page.publications]


def rolled_back(address: TopicAddress, event: str) -> None:
    """Publish in a block that is rolled back at its end."""
    with transaction.atomic():
        address.publish(event)
        transaction.set_rollback(True)


def test_an_address_knows_its_name_and_history(room: TopicAddress) -> None:
    assert room == TopicAddress("rooms/7", History(size=50))


def test_wrong_parameters_make_no_address() -> None:
    class Room(Topic):
        route = "rooms/<int:room>"

    with pytest.raises(TypeError, match="'rooms/<int:room>' takes room; given: id"):
        Room.at(id=7)
    with pytest.raises(InvalidName):
        Room.at(room="blue")


def test_publish_returns_growing_positions(room: TopicAddress) -> None:
    first, second = room.publish("a", {"x": 1}), room.publish("b")
    assert first is not None
    assert second is not None
    assert (first.epoch, first.offset, second.offset) == (second.epoch, 1, 2)
    assert published(room) == [("a", {"x": 1}), ("b", None)]


async def test_apublish_returns_growing_positions(room: TopicAddress) -> None:
    first, second = await room.apublish("a"), await room.apublish("b")
    assert first is not None
    assert second is not None
    assert (first.offset, second.offset) == (1, 2)


async def test_publish_on_the_event_loop_is_refused_with_advice(room: TopicAddress) -> None:
    with pytest.raises(SyncCallInLoop, match=r"await apublish\(\) instead"):
        room.publish("a")
    with pytest.raises(SyncCallInLoop, match=r"await amembers\(\) instead"):
        room.members()


async def test_what_cannot_be_sent_is_not_published(room: TopicAddress) -> None:
    with pytest.raises(UnencodablePayload):
        await room.apublish("a", object())
    with pytest.raises(InvalidName):
        await room.apublish("")
    with override_settings(SEAWAY={"LAYER": "memory://", "MAX_EVENT_BYTES": 256}):
        with pytest.raises(PayloadTooLarge):
            await room.apublish("a", "x" * 256)
        first = await room.apublish("a", "x" * 200)
        assert first is not None
        assert first.offset == 1


async def test_a_task_that_only_publishes_gets_no_database_connection(room: TopicAddress) -> None:
    async def work() -> list[str]:
        await room.apublish("a")
        return [one.alias for one in connections.all(initialized_only=True)]

    assert await asyncio.create_task(work()) == []


async def test_a_database_that_is_not_configured_is_refused(room: TopicAddress) -> None:
    with pytest.raises(ConnectionDoesNotExist, match="elsewhere"):
        await room.apublish("a", using="elsewhere")


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    def test_an_event_waits_for_the_commit(self, room: TopicAddress) -> None:
        with transaction.atomic():
            assert room.publish("a") is None
            assert published(room) == []
        assert published(room) == [("a", None)]

    def test_the_payload_is_what_it_was(self, room: TopicAddress) -> None:
        payload = {"x": 1}
        with transaction.atomic():
            room.publish("a", payload)
            payload["x"] = 2
        assert published(room) == [("a", {"x": 1})]

    def test_a_rollback_takes_the_event_back(self, room: TopicAddress) -> None:
        rolled_back(room, "a")
        assert published(room) == []

    def test_a_savepoint_that_is_rolled_back_takes_only_its_own_events(
        self, room: TopicAddress
    ) -> None:
        with transaction.atomic():
            room.publish("before")
            rolled_back(room, "inside")
            with transaction.atomic():
                room.publish("kept")
            room.publish("after")
        assert [event for event, _ in published(room)] == ["before", "kept", "after"]

    def test_a_bad_payload_is_refused_before_the_commit(self, room: TopicAddress) -> None:
        with transaction.atomic():
            with pytest.raises(UnencodablePayload):
                room.publish("a", object())
            room.publish("b")
        assert published(room) == [("b", None)]

    def test_apublish_below_a_transaction_waits_as_well(self, room: TopicAddress) -> None:
        with transaction.atomic():
            assert async_to_sync(room.apublish)("a") is None
            assert published(room) == []
        assert published(room) == [("a", None)]

    async def test_publish_in_a_thread_of_the_loop_waits_for_its_own_transaction(
        self, room: TopicAddress
    ) -> None:
        def work() -> None:
            with transaction.atomic():
                assert room.publish("a") is None
                assert published(room) == []
            assert published(room) == [("a", None)]

        await sync_to_async(work)()
        assert await room.apublish("b") is not None


@pytest.mark.django_db
def test_under_a_test_case_on_commit_callbacks_can_be_captured(
    room: TopicAddress, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        room.publish("a")
    assert len(callbacks) == 1
    assert published(room) == [("a", None)]


def test_members_are_what_the_layer_says(room: TopicAddress) -> None:
    info = b'{"id":"c1","name":"ann"}'
    assert room.members() == []
    layer_home().run(lambda layer: layer.enter(room.name, "c1", info))
    assert room.members() == [{"id": "c1", "name": "ann"}]


async def test_a_topic_publishes_and_asks_for_its_own_name(room: TopicAddress) -> None:
    class Hall(Topic):
        route = "halls/<int:hall>"
        history = History(size=9)

    hall = Hall("halls/3", "c1")
    assert hall.address == Hall.at(hall=3)
    position = await hall.apublish("a", 1)
    assert position is not None
    assert position.offset == 1
    assert await hall.amembers() == []


def test_a_topic_publishes_from_a_synchronous_action() -> None:
    class Hall(Topic):
        route = "halls/<int:hall>"
        history = History(size=9)

    hall = Hall("halls/3", "c1")
    hall.publish("a", 1)
    assert hall.members() == []
    assert published(Hall.at(hall=3)) == [("a", 1)]
