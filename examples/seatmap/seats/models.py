"""Events, their seats, and who has which seat.

What lives here: the data, and the rule that a seat has at most one owner. It knows nothing of
topics; `seats.topics` tells the world what changes here.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db import models
from django.utils import timezone


def milliseconds(moment: dt.datetime) -> int:
    """Since 1970, as JavaScript counts."""
    return int(moment.timestamp() * 1000)


class Event(models.Model):
    """One evening in one house."""

    name = models.CharField(max_length=100)
    venue = models.CharField(max_length=100)
    starts = models.DateTimeField()

    class Meta:
        ordering = ["starts", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["name", "venue"], name="one_event_of_a_name_per_venue")
        ]

    def __str__(self) -> str:
        return self.name


class SeatQuerySet(models.QuerySet["Seat"]):
    def with_owner(self) -> SeatQuerySet:
        """One query for seats and reservations, as `Seat.as_event` looks at both."""
        return self.select_related("reservation")

    def taken(self) -> SeatQuerySet:
        """Those that are not free."""
        sold = models.Q(reservation__isnull=False, reservation__until=None)
        held = models.Q(reservation__until__gt=timezone.now())
        return self.with_owner().filter(models.Q(blocked=True) | sold | held)


class Seat(models.Model):
    """A seat, where it stands on the map, and what it costs."""

    class Section(models.TextChoices):
        STALLS = "Stalls"
        BALCONY = "Balcony"
        BOX = "Box"

    event = models.ForeignKey(Event, models.CASCADE, related_name="seats")
    section = models.CharField(max_length=10, choices=Section)
    row = models.CharField(max_length=2)
    number = models.PositiveSmallIntegerField()
    price = models.PositiveIntegerField(help_text="In cents.")
    blocked = models.BooleanField(default=False, help_text="Not for sale.")
    x = models.FloatField(default=0)
    y = models.FloatField(default=0)
    angle = models.FloatField(default=0, help_text="Degrees clockwise; 0 faces straight up.")

    objects = SeatQuerySet.as_manager()

    class Meta:
        ordering = ["event", "section", "row", "number"]
        constraints = [
            models.UniqueConstraint(
                fields=["event", "section", "row", "number"], name="one_seat_in_a_place"
            )
        ]

    def __str__(self) -> str:
        return f"{self.section} {self.row}{self.number}"

    def as_event(self) -> dict[str, Any]:
        """What the seat *is* now: the payload of the topic's one event.

        ``state`` is free, held, sold or blocked; ``by`` an opaque visitor tag or null; ``until``
        the end of a hold in milliseconds since 1970 or null.
        """
        owner: Reservation | None = getattr(self, "reservation", None)
        if owner is not None and owner.until is None:
            state, by, until = "sold", owner.visitor, None
        elif self.blocked:
            state, by, until = "blocked", None, None
        elif owner is not None and owner.until is not None and not owner.ran_out:
            state, by, until = "held", owner.visitor, milliseconds(owner.until)
        else:
            state, by, until = "free", None, None
        return {"id": self.pk, "state": state, "by": by, "until": until}


class ReservationQuerySet(models.QuerySet["Reservation"]):
    def held_by(self, visitor: str) -> ReservationQuerySet:
        """The visitor's running holds, locked until the transaction ends."""
        return self.filter(visitor=visitor, until__gt=timezone.now()).select_for_update()

    def take(self, seat: Seat, visitor: str, until: dt.datetime | None) -> Reservation:
        """Hold (until None: sell) the seat, or raise IntegrityError: it has an owner.

        Call in a transaction.

        The unique constraint decides, not a look beforehand: of two who take the same seat at the
        same moment exactly one succeeds, whatever the database and the number of processes.
        """
        self.filter(seat=seat, until__lte=timezone.now()).delete()
        return self.create(seat=seat, visitor=visitor, until=until, promised=until)


class Reservation(models.Model):
    """Who has a seat. There is no row for a free seat; a hold that ran out counts as none."""

    seat = models.OneToOneField(Seat, models.CASCADE, related_name="reservation")
    visitor = models.CharField(max_length=40, db_index=True)
    until = models.DateTimeField(null=True, blank=True, help_text="End of the hold; empty: sold.")
    promised = models.DateTimeField(
        null=True, blank=True, help_text="What `until` returns to when an owner who left is back."
    )

    objects = ReservationQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.seat} for {self.visitor}"

    @property
    def ran_out(self) -> bool:
        return self.until is not None and self.until <= timezone.now()
