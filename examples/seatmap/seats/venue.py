"""The house: where its seats stand, and what they cost.

Rows are arcs around one point high above the stage, so every seat faces it. Units are those of the
map's viewBox (1000 by 640, y downwards); angles are degrees clockwise.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator

from django.utils import timezone

from seats.models import Event, Seat

#: The point that all rows curve around.
CENTRE_X, CENTRE_Y = 500.0, -330.0
#: Distance between the middles of two neighbours in a row.
PITCH = 26.0
#: Degrees left free for each of the two aisles.
AISLE = 2.2

#: section, first row's radius, rows, distance between rows, half the arc in degrees
BLOCKS = [
    (Seat.Section.STALLS, 492.0, "ABCDEFGHJK", 28.5, 30.0),
    (Seat.Section.BALCONY, 824.0, "ABCD", 28.5, 30.5),
]
#: Cents, by section and row; the last entry whose first row is not after the seat's row counts.
PRICES = {
    Seat.Section.STALLS: [("A", 5800), ("E", 4400)],
    Seat.Section.BALCONY: [("A", 2900)],
    Seat.Section.BOX: [("A", 7200)],
}
#: Left boxes from the stage outwards: the middle of each, and where it looks. The right mirrors it.
BOXES = [(194.0, 66.0, 78.0), (152.0, 135.0, 72.0), (111.0, 205.0, 66.0), (71.0, 276.0, 60.0)]
#: Chairs of a box, in its own coordinates: two in front, two behind.
BOX_CHAIRS = [(-13.5, -14.0), (13.5, -14.0), (-13.5, 15.0), (13.5, 15.0)]


def price(section: Seat.Section, row: str) -> int:
    return [cents for first, cents in PRICES[section] if first <= row][-1]


def arc(radius: float, half: float) -> Iterator[tuple[float, float, float]]:
    """``(x, y, angle)`` of a row's chairs from left to right: side, aisle, middle, aisle, side.

    The middle is centred and the sides start at the aisles, so that the aisles run straight.
    """
    step = math.degrees(PITCH / radius)
    middle = int((half - AISLE) / step)
    side = int((half / 2 - AISLE / 2) / step)
    inner = (half + AISLE) / 2 + step / 2
    right = [inner + chair * step for chair in range(side)]
    centre = [(chair - (middle - 1) / 2) * step for chair in range(middle)]
    for degrees in (*(-angle for angle in reversed(right)), *centre, *right):
        theta = math.radians(degrees)
        yield (
            CENTRE_X + radius * math.sin(theta),
            CENTRE_Y + radius * math.cos(theta),
            -degrees,
        )


def chairs() -> Iterator[tuple[Seat.Section, str, int, float, float, float]]:
    """Every chair: section, row, number, x, y, angle."""
    for section, radius, rows, depth, half in BLOCKS:
        for index, row in enumerate(rows):
            places = arc(radius + index * depth, half + index * 0.1)
            for number, (x, y, angle) in enumerate(places, start=1):
                yield section, row, number, x, y, angle
    both = [*BOXES, *((1000 - x, y, -angle) for x, y, angle in BOXES)]
    for row, (x, y, angle) in zip("ABCDEFGH", both, strict=True):
        turn = math.radians(angle)
        for number, (across, back) in enumerate(BOX_CHAIRS, start=1):
            yield (
                Seat.Section.BOX,
                row,
                number,
                x + across * math.cos(turn) - back * math.sin(turn),
                y + across * math.sin(turn) + back * math.cos(turn),
                angle,
            )


def next_friday() -> dt.datetime:
    """Half past seven, on the next Friday that is not today."""
    today = timezone.localdate()
    day = today + dt.timedelta(days=(4 - today.weekday()) % 7 or 7)
    return timezone.make_aware(dt.datetime.combine(day, dt.time(19, 30)))


def load() -> tuple[Event, bool]:
    """Make the evening and its seats, or bring the seats' places and prices up to date."""
    event, created = Event.objects.get_or_create(
        name="The Tempest", venue="Harbour Theatre", defaults={"starts": next_friday()}
    )
    Seat.objects.bulk_create(
        [
            Seat(
                event=event,
                section=section,
                row=row,
                number=number,
                price=price(section, row),
                x=round(x, 1),
                y=round(y, 1),
                angle=round(angle, 1),
            )
            for section, row, number, x, y, angle in chairs()
        ],
        update_conflicts=True,
        unique_fields=["event", "section", "row", "number"],
        update_fields=["price", "x", "y", "angle"],
    )
    return event, created
