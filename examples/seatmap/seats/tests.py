"""The demo's own tests: ``python manage.py test``. They show how a topic is tested."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.test import TransactionTestCase, override_settings
from django.utils import timezone

from seats.models import Event, Reservation, Seat
from seats.tasks import reprint_all
from seats.topics import MOST_HELD, visitor_tag
from seaway import ActionError
from seaway.testing import TopicClient


async def visitor() -> str:
    """A visitor's session key, as the page makes one."""
    session = SessionStore()
    await session.acreate()
    return str(session.session_key)


@override_settings(SEAWAY={"LAYER": "memory://"})
class SeatMapTests(TransactionTestCase):
    """Events leave after the commit, so these tests need real transactions."""

    def setUp(self) -> None:
        self.event = Event.objects.create(name="Hamlet", venue="Globe", starts=timezone.now())
        self.seats = Seat.objects.bulk_create(
            Seat(event=self.event, section="Stalls", row="A", number=number, price=1000)
            for number in range(1, 11)
        )
        self.topic = f"events/{self.event.pk}/seats"

    async def refused(self, client: TopicClient, action: str, **args: Any) -> str:
        """The code of the refusal."""
        try:
            await client.call(self.topic, action, **args)
        except ActionError as error:
            return error.code
        raise AssertionError(f"{action}({args}) was not refused.")

    async def state(self, client: TopicClient, seat: Seat) -> str:
        """Of the next event, which has to be about this seat."""
        event = await client.event(self.topic, "seat")
        assert event.data["id"] == seat.pk
        return str(event.data["state"])

    async def test_a_held_seat_is_held_for_everybody(self) -> None:
        ann, bob = await visitor(), await visitor()
        async with TopicClient(session_key=ann) as one, TopicClient(session_key=bob) as two:
            await one.join(self.topic)
            await two.join(self.topic)
            reply = await one.call(self.topic, "hold", seat=self.seats[0].pk)
            seen = (await two.event(self.topic)).data
        assert seen["state"] == "held"
        assert seen["by"] == visitor_tag(ann)
        assert seen["until"] == reply["until"]
        assert ann not in str(seen)

    async def test_a_taken_seat_is_refused_in_words(self) -> None:
        async with TopicClient(session_key=await visitor()) as one:
            await one.join(self.topic)
            await one.call(self.topic, "hold", seat=self.seats[0].pk)
            async with TopicClient(session_key=await visitor()) as two:
                snapshot = await two.join(self.topic)
                assert [seat["state"] for seat in snapshot["seats"]] == ["held"]
                with self.assertRaisesMessage(ActionError, "Stalls A1 is taken") as refusal:
                    await two.call(self.topic, "hold", seat=self.seats[0].pk)
                assert refusal.exception.data == snapshot["seats"][0]

    @override_settings(SEATMAP_HOLD_SECONDS=0)
    async def test_a_hold_that_ran_out_counts_as_none(self) -> None:
        async with TopicClient(session_key=await visitor()) as one:
            await one.join(self.topic)
            await one.call(self.topic, "hold", seat=self.seats[0].pk)
            assert await self.refused(one, "buy", seats=[self.seats[0].pk]) == "expired"
            async with TopicClient(session_key=await visitor()) as two:
                assert (await two.join(self.topic))["seats"] == []
                await two.call(self.topic, "hold", seat=self.seats[0].pk)

    async def test_released_is_free_and_bought_is_final(self) -> None:
        first, second = self.seats[:2]
        async with TopicClient(session_key=await visitor()) as one:
            await one.join(self.topic)
            await one.call(self.topic, "hold", seat=first.pk)
            await one.call(self.topic, "hold", seat=second.pk)
            await one.call(self.topic, "release", seat=first.pk)
            sale = await one.call(self.topic, "buy", seats=[second.pk])
            states = [(await one.event(self.topic)).data["state"] for _ in range(4)]
            assert await self.refused(one, "hold", seat=second.pk) == "taken"
            await one.call(self.topic, "release", seat=second.pk)
        assert sale == {"seats": [second.pk], "total": 1000}
        assert states == ["held", "held", "free", "sold"]
        assert await Reservation.objects.filter(seat=second, until=None).aexists()

    async def test_there_are_limits(self) -> None:
        await Seat.objects.filter(pk=self.seats[9].pk).aupdate(blocked=True)
        async with TopicClient(session_key=await visitor()) as one:
            await one.join(self.topic)
            assert await self.refused(one, "hold", seat=self.seats[9].pk) == "blocked"
            assert await self.refused(one, "hold", seat=0) == "not_found"
            for seat in self.seats[:MOST_HELD]:
                await one.call(self.topic, "hold", seat=seat.pk)
            assert await self.refused(one, "hold", seat=self.seats[8].pk) == "enough"

    async def test_who_has_no_session_may_not_join(self) -> None:
        async with TopicClient() as nobody:
            with self.assertRaisesMessage(ActionError, "cookies"):
                await nobody.join(self.topic)

    async def test_who_leaves_keeps_the_seat_for_a_moment_and_who_returns_has_it_back(self) -> None:
        seat, ann = self.seats[0], await visitor()
        async with TopicClient(session_key=await visitor()) as watcher:
            await watcher.join(self.topic)
            async with TopicClient(session_key=ann) as client:
                await client.join(self.topic)
                promised = (await client.call(self.topic, "hold", seat=seat.pk))["until"]
                await watcher.event(self.topic)
            cut = (await watcher.event(self.topic)).data
            async with TopicClient(session_key=ann) as client:
                await client.join(self.topic)
                back = (await watcher.event(self.topic)).data
        assert cut["state"] == "held"
        assert cut["until"] < promised - 60000
        assert back["until"] == promised

    async def test_closing_one_of_two_tabs_changes_nothing(self) -> None:
        seat, ann = self.seats[0], await visitor()
        async with TopicClient(session_key=ann) as tab:
            await tab.join(self.topic)
            promised = (await tab.call(self.topic, "hold", seat=seat.pk))["until"]
            async with TopicClient(session_key=ann) as other:
                await other.join(self.topic)
            assert (await tab.join(self.topic))["seats"][0]["until"] == promised

    async def test_the_admin_is_seen_by_everybody(self) -> None:
        seat = self.seats[3]
        boss = await get_user_model().objects.acreate(is_staff=True, is_superuser=True)
        await self.async_client.aforce_login(boss)
        async with TopicClient(session_key=await visitor()) as watcher:
            await watcher.join(self.topic)
            for action, state in [
                ("block", "blocked"),
                ("unblock", "free"),
                ("sell", "sold"),
                ("release", "free"),
            ]:
                form = {"action": action, "_selected_action": [seat.pk]}
                answer = await self.async_client.post("/admin/seats/seat/", form)
                assert answer.status_code == 302, action
                assert await self.state(watcher, seat) == state

    def test_the_page_shows_the_house_without_a_script(self) -> None:
        Seat.objects.filter(pk=self.seats[0].pk).update(blocked=True)
        page = self.client.get(f"/events/{self.event.pk}/")
        self.assertContains(page, 'aria-label="Stalls, row A, seat 1, €10, not for sale"')
        self.assertContains(page, 'aria-label="Stalls, row A, seat 2, €10, free"')
        self.assertContains(page, f'data-topic="{self.topic}"')
        self.assertNotContains(page, "<script>")
        self.assertNotContains(page, "style=")
        self.assertRedirects(self.client.get("/"), f"/events/{self.event.pk}/")

    def test_an_unbuilt_house_says_what_to_do(self) -> None:
        Event.objects.all().delete()
        self.assertContains(self.client.get("/"), "load_venue", status_code=404)


@override_settings(SEAWAY={"LAYER": "memory://"})
class ReprintTests(TransactionTestCase):
    """What the box office sees; that a worker prints, `make demo` shows."""

    def setUp(self) -> None:
        self.event = Event.objects.create(name="Hamlet", venue="Globe", starts=timezone.now())

    def reprint(self, **rights: bool) -> tuple[int, str]:
        """Somebody presses the button: the status, and where it leads."""
        user = get_user_model().objects.create_user("ann", **rights)
        self.client.force_login(user)
        response = self.client.post(f"/admin/seats/event/{self.event.pk}/reprint/")
        return response.status_code, response.headers.get("Location", "")

    def test_the_button_leads_to_a_bar(self) -> None:
        status, page = self.reprint(is_staff=True, is_superuser=True)
        assert status == 302
        task = page.partition("?task=")[2]
        self.assertContains(self.client.get(page), f'data-topic="tasks/{task}"')

    def test_the_button_is_for_those_who_may_change_events(self) -> None:
        assert self.reprint(is_staff=True)[0] == 403

    def test_a_link_prints_nothing(self) -> None:
        self.reprint(is_staff=True, is_superuser=True)
        response = self.client.get(f"/admin/seats/event/{self.event.pk}/reprint/")
        assert response.status_code == 405

    async def refused(self, client: TopicClient, topic: str) -> str:
        """Why the topic cannot be joined."""
        try:
            await client.join(topic)
        except ActionError as error:
            return str(error)
        raise AssertionError(f"{topic} was not refused.")

    async def test_progress_is_for_staff(self) -> None:
        users = get_user_model().objects
        staff = await users.acreate_user("staff", is_staff=True)
        guest = await users.acreate_user("guest")
        async with TopicClient(user=staff) as one, TopicClient(user=guest) as two:
            task = await reprint_all.aenqueue(event_id=self.event.pk)
            topic = f"tasks/{task.id}"
            assert await one.join(topic) == {"status": "READY"}
            assert "no such task" in await self.refused(one, "tasks/none")
            assert "for staff" in await self.refused(two, topic)
