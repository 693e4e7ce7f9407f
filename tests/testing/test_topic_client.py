"""The public test client, used as a project's tests use it."""

import pytest

from seaway import ActionError
from seaway.testing import TopicClient


async def test_the_public_test_client_leaves_the_database_alone() -> None:
    async with TopicClient() as ann, TopicClient() as bob:
        assert await ann.join("rooms/lobby") == {"room": "lobby"}
        await bob.join("rooms/lobby")
        assert set(bob.members["rooms/lobby"]) == {ann.id, bob.id}
        await ann.call("rooms/lobby", "say", text="hi")
        event = await bob.event("rooms/lobby")
        assert (event.name, event.data, event.offset) == ("said", {"text": "hi"}, 1)
        with pytest.raises(ActionError, match="closed"):
            await bob.join("rooms/closed")
        await bob.leave("rooms/lobby")
