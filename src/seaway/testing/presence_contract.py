"""The contract of presence as tests: members, and how many they are.

What lives here: one test per sentence of `seaway.layers.base` on these.
What must not: anything that only one engine does.
"""
# ruff: noqa: S101  asserts are what a test suite consists of

from __future__ import annotations

import pytest

from seaway.exceptions import InvalidName
from seaway.layers.base import Headcount
from seaway.testing.contract_support import KEPT, TOPIC, Contract, Start, eventually


@pytest.mark.asyncio
class PresenceContract(Contract):
    """Members and people."""

    async def test_members_are_seen_from_every_process(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.enter(TOPIC, "ann", b"A")
        await there.layer.enter(TOPIC, "bob", b"B")
        for process in (here, there):
            assert await process.layer.members(TOPIC) == {"ann": b"A", "bob": b"B"}
        assert await here.layer.members("another") == {}

    async def test_entering_again_replaces_what_a_member_says(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        await here.layer.enter(TOPIC, "ann", b"old")
        await here.layer.enter(TOPIC, "ann", b"new")
        assert await there.layer.members(TOPIC) == {"ann": b"new"}
        await there.heard.until(lambda: there.heard.present() == {"ann": b"new"})

    async def test_a_member_leaves(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.enter(TOPIC, "ann", b"A")
        await here.layer.enter(TOPIC, "bob", b"B")
        await here.layer.leave(TOPIC, "ann")
        assert await there.layer.members(TOPIC) == {"bob": b"B"}

    async def test_leaving_without_being_there_does_nothing(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        await here.layer.leave(TOPIC, "nobody")
        await here.layer.enter(TOPIC, "ann", b"A")
        await there.heard.until(lambda: there.heard.present() == {"ann": b"A"})
        assert all(not change.left for _, change in there.heard.changes)

    async def test_a_process_cannot_remove_another_ones_member(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.enter(TOPIC, "ann", b"A")
        await there.layer.leave(TOPIC, "ann")
        assert await there.layer.members(TOPIC) == {"ann": b"A"}

    async def test_every_watching_process_hears_of_changes(self, start: Start) -> None:
        here, there, elsewhere = await start(3)
        for process in (here, there):
            await process.layer.watch(TOPIC)
        await here.layer.enter(TOPIC, "ann", b"A")
        for process in (here, there):
            await process.heard.until_present({"ann": b"A"})
        await here.layer.leave(TOPIC, "ann")
        for process in (here, there):
            await process.heard.until_present({})
            assert process.heard.changes[-1][1].left
        assert elsewhere.heard.changes == []

    async def test_presence_moves_no_position(self, start: Start) -> None:
        [here] = await start(1)
        before = await here.layer.publish(TOPIC, b"x", KEPT)
        await here.layer.enter(TOPIC, "ann", b"A")
        assert await here.layer.position(TOPIC) == before

    async def test_closing_lets_the_members_of_a_process_leave(self, start: Start) -> None:
        here, there = await start(2)
        await there.layer.watch(TOPIC)
        await there.layer.enter(TOPIC, "bob", b"B")
        await here.layer.enter(TOPIC, "ann", b"A")
        await here.layer.enter("another", "ann", b"A")
        await here.layer.close()
        await eventually(
            lambda: there.layer.members(TOPIC), lambda members: members == {"bob": b"B"}
        )
        await eventually(lambda: there.layer.members("another"), lambda members: members == {})
        await there.heard.until(lambda: there.heard.present() == {"bob": b"B"})

    # How many ------------------------------------------------------------------------------------

    async def test_heads_are_counted_without_a_list(self, start: Start) -> None:
        here, there = await start(2)
        assert await here.layer.headcount(TOPIC) == Headcount(0, 0)
        await here.layer.enter(TOPIC, "c1", b"A")
        await there.layer.enter(TOPIC, "c2", b"B")
        for process in (here, there):
            assert await process.layer.headcount(TOPIC) == Headcount(members=2, people=2)
        assert await here.layer.headcount("another") == Headcount(0, 0)
        await here.layer.leave(TOPIC, "c1")
        assert await there.layer.headcount(TOPIC) == Headcount(members=1, people=1)

    async def test_members_of_one_person_are_counted_once(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.enter(TOPIC, "phone", b"A", "user-1")
        await there.layer.enter(TOPIC, "laptop", b"A", "user-1")
        await there.layer.enter(TOPIC, "tablet", b"B", "user-2")
        await here.layer.enter(TOPIC, "kiosk-1", b"C")
        await here.layer.enter(TOPIC, "kiosk-2", b"C")
        assert await here.layer.headcount(TOPIC) == Headcount(members=5, people=4)
        assert set(await here.layer.members(TOPIC)) == {
            "phone", "laptop", "tablet", "kiosk-1", "kiosk-2",
        }  # fmt: skip
        await here.layer.leave(TOPIC, "phone")
        assert await here.layer.headcount(TOPIC) == Headcount(members=4, people=4)
        await there.layer.leave(TOPIC, "laptop")
        assert await here.layer.headcount(TOPIC) == Headcount(members=3, people=3)

    async def test_a_member_may_become_another_person(self, start: Start) -> None:
        [here] = await start(1)
        await here.layer.enter(TOPIC, "c1", b"A")
        await here.layer.enter(TOPIC, "c2", b"B", "user-1")
        await here.layer.enter(TOPIC, "c1", b"A", "user-1")
        assert await here.layer.headcount(TOPIC) == Headcount(members=2, people=1)
        await here.layer.enter(TOPIC, "c1", b"A")
        assert await here.layer.headcount(TOPIC) == Headcount(members=2, people=2)

    async def test_who_leaves_with_its_process_is_not_counted(self, start: Start) -> None:
        here, there = await start(2)
        await here.layer.enter(TOPIC, "c1", b"A", "user-1")
        await there.layer.enter(TOPIC, "c2", b"B", "user-1")
        await here.layer.close()
        await eventually(
            lambda: there.layer.headcount(TOPIC), lambda count: count == Headcount(1, 1)
        )

    async def test_illegal_persons_are_refused(self, start: Start) -> None:
        [here] = await start(1)
        with pytest.raises(InvalidName, match="person"):
            await here.layer.enter(TOPIC, "c1", b"A", "with space")
        with pytest.raises(InvalidName, match="legal"):
            await here.layer.headcount("with space")
        assert await here.layer.members(TOPIC) == {}
