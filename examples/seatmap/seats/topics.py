"""The seat map's topic: join it to see every seat, call its actions to take one. Its one event,
``seat``, says what a seat *is* (see `Seat.as_event`), so seeing one twice does no harm. A hold
needs no timer: its event says until when, and clients and server both look at a clock.

And the topic of what the box office prints: how far it is.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.utils import timezone
from django.utils.crypto import salted_hmac

from seats.models import Event, Reservation, Seat, milliseconds
from seaway import ActionError, History, Topic, action
from seaway.tasks.framework import TaskResultDoesNotExist, task_backends
from seaway.tasks.progress import TaskTopic

#: Seats that one visitor may hold at a time.
MOST_HELD = 8


def visitor_tag(session_key: str) -> str:
    """Who a visitor is to the others: opaque, for a session key is a password."""
    return salted_hmac("seats.visitor", session_key).hexdigest()[:16]


class SeatMap(Topic):
    route = "events/<int:event_id>/seats"
    history = History(size=500, seconds=3600)
    presence = True

    def join(self, event_id: int) -> dict[str, Any]:
        """Every seat that is not free, the server's clock, and who the newcomer is to others."""
        if self.session_key is None:
            raise PermissionDenied("Open the seat map in a browser that keeps cookies.")
        self.event = Event.objects.get(pk=event_id)
        self.visitor = visitor_tag(self.session_key)
        self.keep()
        return {
            "seats": [seat.as_event() for seat in self.event.seats.taken()],
            "now": milliseconds(timezone.now()),
            "you": self.visitor,
        }

    def member(self) -> dict[str, Any]:
        """What presence tells of this connection: two tabs are one visitor."""
        return {"visitor": self.visitor}

    def leave(self) -> None:
        """The owner left: a short grace, so that a reload loses nothing, and the seats are free."""
        if any(member["visitor"] == self.visitor for member in self.address.members()):
            return  # another tab of theirs is open
        grace = timezone.now() + dt.timedelta(seconds=settings.SEATMAP_GRACE_SECONDS)
        with transaction.atomic():
            for hold in Reservation.objects.held_by(self.visitor).filter(until__gt=grace):
                hold.until = grace
                hold.save()

    @action
    def hold(self, seat: int) -> dict[str, Any]:
        """Take a free seat for two minutes."""
        until = timezone.now() + dt.timedelta(seconds=settings.SEATMAP_HOLD_SECONDS)
        wanted = self.event.seats.get(pk=seat)
        try:
            with transaction.atomic():
                if self.event.seats.select_for_update().get(pk=seat).blocked:
                    raise ActionError(f"{wanted} is not for sale.", code="blocked")
                if Reservation.objects.held_by(self.visitor).count() >= MOST_HELD:
                    raise ActionError(f"{MOST_HELD} seats at a time are the most.", code="enough")
                Reservation.objects.take(wanted, self.visitor, until)
        except IntegrityError:
            now = self.event.seats.get(pk=seat).as_event()
            message = f"Someone was faster: {wanted} is taken."
            raise ActionError(message, code="taken", data=now) from None
        return {"until": milliseconds(until)}

    @action
    def release(self, seat: int) -> None:
        """Give a held seat back."""
        with transaction.atomic():
            Reservation.objects.held_by(self.visitor).filter(seat=seat).delete()

    @action
    def keep(self) -> None:
        """The owner is here: holds that `leave` cut short get their full time back."""
        with transaction.atomic():
            for hold in Reservation.objects.held_by(self.visitor).exclude(until=F("promised")):
                hold.until = hold.promised
                hold.save()

    @action(once=True)
    def buy(self, seats: list[int]) -> dict[str, Any]:
        """Buy exactly these held seats, or none of them."""
        with transaction.atomic():
            holds = Reservation.objects.held_by(self.visitor).filter(seat__blocked=False)
            bought = [hold for hold in holds.select_related("seat") if hold.seat_id in seats]
            if len(bought) != len(set(seats)):
                raise ActionError("A hold has run out; nothing was bought.", code="expired")
            for hold in bought:
                hold.until = None
                hold.save()
        return {"seats": seats, "total": sum(hold.seat.price for hold in bought)}

    @action
    def worker(self) -> int | None:
        """Which process serves this visitor: for the curious, and only while DEBUG is on."""
        return os.getpid() if settings.DEBUG else None


class Progress(TaskTopic):
    """How far a task of `seats.tasks` is: for staff."""

    route = "tasks/<str:task_id>"

    def join(self, task_id: str) -> dict[str, str]:
        if not self.user.is_staff:
            raise PermissionDenied("Progress is for staff.")
        try:
            result = task_backends["default"].get_result(task_id)
        except TaskResultDoesNotExist:
            raise PermissionDenied("There is no such task, or none any more.") from None
        return {"status": result.status.value}


@receiver([post_save, post_delete], sender=Reservation)
@receiver(post_save, sender=Seat)
def tell(instance: Seat | Reservation, **kwargs: Any) -> None:
    """Whoever changes a seat (an action above, the admin, a shell), everybody sees it.

    Inside a transaction `publish` waits for the commit.
    """
    pk = instance.pk if isinstance(instance, Seat) else instance.seat_id
    seat = Seat.objects.with_owner().get(pk=pk)
    SeatMap.at(event_id=seat.event_id).publish("seat", seat.as_event())
