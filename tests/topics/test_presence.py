"""Who is present, and how many: as members and the rest of a project see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User

from seaway import Topic, action
from seaway.exceptions import ConfigurationError
from seaway.layers.base import LEGAL_NAME, Headcount
from seaway.testing import TopicClient
from seaway.topics.membership import person_of
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "rooms/7"


async def user(name: str) -> User:
    return await sync_to_async(User.objects.create_user)(name)


class Moody(Topic):
    """A base: its members say who they are and how they feel."""

    mood = "fine"

    def join(self, room: int) -> Any: ...

    def member(self) -> Any:
        return {"name": self.user.get_username(), "mood": self.mood}

    @action
    def feel(self, mood: str) -> str:
        self.mood = mood
        self.update_member()
        return str(self.user.get_username())

    @action
    async def afeel(self, mood: str) -> str:
        self.mood = mood
        await self.aupdate_member()
        return str(self.user.get_username())


def room(kind: Any = True) -> type[Topic]:
    class Room(Moody):
        route = "rooms/<int:room>"
        presence = kind

    return Room


def async_room() -> type[Topic]:
    class Room(Moody):
        route = "rooms/<int:room>"
        presence = True

        async def member(self) -> dict[str, Any]:
            return {"name": self.user.get_username(), "mood": self.mood, "colour": "async"}

    return Room


# How many ----------------------------------------------------------------------------------------


async def test_several_connections_of_one_user_are_one_person() -> None:
    room_class = room()
    address = room_class.at(room=7)
    ann, bob = await user("ann"), await user("bob")
    assert await address.aheadcount() == Headcount(0, 0)
    clients = [TopicClient(ann), TopicClient(ann), TopicClient(bob), TopicClient(), TopicClient()]
    async with clients[0], clients[1], clients[2], clients[3], clients[4]:
        for client in clients:
            await client.join(NAME)
        assert await address.aheadcount() == Headcount(members=5, people=4)
        await clients[1].leave(NAME)
        assert await address.aheadcount() == Headcount(members=4, people=4)
        await clients[0].leave(NAME)
        assert await address.aheadcount() == Headcount(members=3, people=3)


async def test_headcount_for_synchronous_code() -> None:
    address = room().at(room=7)
    async with TopicClient() as client:
        await client.join(NAME)
        assert await sync_to_async(address.headcount, thread_sensitive=False)() == Headcount(1, 1)


def test_a_user_whose_key_is_no_legal_name_is_a_person_too() -> None:
    odd = User(pk="two words")
    assert LEGAL_NAME.fullmatch(person_of(odd))
    assert person_of(odd) != person_of(User(pk="two more words"))
    assert person_of(User(pk=7)) == "7"


# Numbers instead of lists ------------------------------------------------------------------------


async def test_where_members_are_counted_they_are_told_numbers() -> None:
    room_class = room("count")
    ann = await user("ann")
    async with TopicClient(ann) as here, TopicClient(ann) as there, TopicClient() as stranger:
        await here.join(NAME)
        assert here.headcounts[NAME] == (1, 1)
        await there.join(NAME)
        assert there.headcounts[NAME] == (2, 1)
        await stranger.join(NAME)
        await until(lambda: here.headcounts[NAME] == (3, 2))
        await until(lambda: there.headcounts[NAME] == (3, 2))
        assert here.members == {}
        found = await room_class.at(room=7).amembers()
        assert sorted(member["id"] for member in found) == sorted([here.id, there.id, stranger.id])
        await stranger.leave(NAME)
        await until(lambda: here.headcounts[NAME] == (2, 1))


async def test_where_members_are_counted_there_is_nothing_to_update() -> None:
    room("count")
    async with TopicClient(await user("ann")) as client:
        await client.join(NAME)
        assert await client.call(NAME, "afeel", mood="sad") == "ann"
        assert await client.call(NAME, "feel", mood="sad") == "ann"


def test_another_kind_of_presence_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r'True, False or "count", not \'counts\''):
        room("counts")


# What members say of themselves ------------------------------------------------------------------


@pytest.mark.parametrize("make", [room, async_room])
@pytest.mark.parametrize("name", ["feel", "afeel"])
async def test_an_action_changes_what_the_others_are_told(
    make: Callable[[], type[Topic]], name: str
) -> None:
    make()
    async with TopicClient(await user("ann")) as ann, TopicClient(await user("bob")) as bob:
        await ann.join(NAME)
        await bob.join(NAME)
        before = bob.members[NAME][ann.id]
        assert (before["name"], before["mood"]) == ("ann", "fine")
        # The action still has its user afterwards.
        assert await ann.call(NAME, name, mood="sad") == "ann"
        await until(lambda: bob.members[NAME][ann.id] == {**before, "mood": "sad"})
        assert set(bob.members[NAME]) == {ann.id, bob.id}


async def test_who_has_left_is_not_brought_back_by_an_update() -> None:
    kept: list[Callable[[], Awaitable[None]]] = []

    class Room(Moody):
        route = "rooms/<int:room>"
        presence = True

        def join(self, room: int) -> None:
            kept.append(self.aupdate_member)

    async with TopicClient() as client:
        await client.join(NAME)
        await kept[0]()
        assert len(await Room.at(room=7).amembers()) == 1
        await client.leave(NAME)
        await kept[0]()
        assert await Room.at(room=7).amembers() == []


async def test_an_update_in_join_is_part_of_it() -> None:
    class Room(Moody):
        route = "rooms/<int:room>"
        presence = True

        async def join(self, room: int) -> None:
            self.mood = "new"
            await self.aupdate_member()

    async with TopicClient(await user("ann")) as ann:
        await ann.join(NAME)
        assert ann.members[NAME][ann.id]["mood"] == "new"
