"""The public test client, used as a project's tests use it."""

import pytest

from seaway import ActionError
from seaway.testing import TopicClient
from tests.connections.topics import Room

LOBBY = Room.at(room="lobby").name


async def test_the_public_test_client_leaves_the_database_alone() -> None:
    async with TopicClient() as ann, TopicClient() as bob:
        assert await ann.join(LOBBY) == {"room": "lobby"}
        await bob.join(LOBBY)
        assert set(bob.members[LOBBY]) == {ann.id, bob.id}
        await ann.call(LOBBY, "say", text="hi")
        event = await bob.event(LOBBY)
        assert (event.name, event.data, event.offset) == ("said", {"text": "hi"}, 1)
        with pytest.raises(ActionError, match="closed"):
            await bob.join("rooms/closed")
        await bob.leave(LOBBY)
