"""The seat map's pages: plain Django. What changes later comes through `seats.topics`."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Avg
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from seats.models import Event, Seat
from seats.topics import SeatMap, visitor_tag

#: What a seat's look is called for those who do not see it; `plan.js` has the same list.
WORDS = {
    "free": "free",
    "mine": "held for you",
    "held": "held by someone else",
    "sold": "sold",
    "bought": "bought by you",
    "blocked": "not for sale",
}


def index(request: HttpRequest) -> HttpResponse:
    event = Event.objects.first()
    if event is None:
        return render(request, "seats/empty.html", status=404)
    return redirect("seat-map", event_id=event.pk)


def seat_map(request: HttpRequest, event_id: int) -> HttpResponse:
    """The map as it is now; the page's script joins the topic and keeps it so."""
    event = get_object_or_404(Event, pk=event_id)
    if request.session.session_key is None:
        request.session.create()  # the topic knows its visitors by their sessions
    visitor = visitor_tag(str(request.session.session_key))
    return render(
        request,
        "seats/seat_map.html",
        {
            "event": event,
            "topic": SeatMap.at(event_id=event.pk).name,
            "seats": [picture(seat, visitor) for seat in event.seats.with_owner()],
            "boxes": boxes(event),
            "bands": bands(event),
            "looks": WORDS.items(),
            "hold": spoken(settings.SEATMAP_HOLD_SECONDS),
        },
    )


def picture(seat: Seat, visitor: str) -> dict[str, object]:
    """What the template needs to draw one seat."""
    now = seat.as_event()
    look = now["state"]
    if now["by"] == visitor:
        look = {"held": "mine", "sold": "bought"}[look]
    comma = "" if seat.section == Seat.Section.BOX else ", row"
    return {
        "id": seat.pk,
        "look": look,
        "name": str(seat),
        "label": f"{seat.section}{comma} {seat.row}, seat {seat.number}, {euros(seat.price)}",
        "words": WORDS[look],
        "band": band(seat),
        "price": seat.price,
        "place": f"translate({seat.x} {seat.y}) rotate({seat.angle})",
        "upright": f"rotate({-seat.angle})",
        "row": seat.row if seat.number == 1 and seat.section != Seat.Section.BOX else "",
    }


def band(seat: Seat) -> str:
    """The colour of a price: the same for seats of one section and price."""
    if seat.section == Seat.Section.STALLS:
        return "front" if seat.row < "E" else "rear"
    return seat.section.lower()


def bands(event: Event) -> list[dict[str, str]]:
    """The legend of prices, dearest first."""
    names = {
        "box": "Boxes",
        "front": "Stalls A to D",
        "rear": "Stalls E to K",
        "balcony": "Balcony",
    }
    prices = {band(seat): seat.price for seat in event.seats.order_by("-price")}
    return [{"band": key, "name": names[key], "price": euros(prices[key])} for key in prices]


def boxes(event: Event) -> list[str]:
    """Where to draw the walls of each box: around the middle of its seats."""
    middles = (
        event.seats.filter(section=Seat.Section.BOX)
        .values("row")
        .annotate(x=Avg("x"), y=Avg("y"), angle=Avg("angle"))
    )
    return [f"translate({m['x']:.1f} {m['y']:.1f}) rotate({m['angle']:.1f})" for m in middles]


def spoken(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 120 else f"{seconds:g} seconds"


def euros(cents: int) -> str:
    return f"€{cents // 100}" if cents % 100 == 0 else f"€{cents / 100:.2f}"
