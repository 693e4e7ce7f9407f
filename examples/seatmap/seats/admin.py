"""The box office: block seats, release holds, sell at the door.

Everything is saved row by row, so that the signals in `seats.topics` tell every open seat map.
"""

from __future__ import annotations

from django.contrib import admin, messages
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from seats.models import Event, Reservation, Seat

#: The owner of what is sold at the door; no visitor's tag is like it.
BOX_OFFICE = "box office"


@admin.register(Event)
class EventAdmin(admin.ModelAdmin):
    list_display = ["name", "venue", "starts"]


class ReservationInline(admin.StackedInline):
    model = Reservation
    fields = ["visitor", "until"]


@admin.register(Seat)
class SeatAdmin(admin.ModelAdmin):
    list_display = ["__str__", "state", "euros", "blocked"]
    list_editable = ["blocked"]
    list_filter = ["section", "row", "blocked", "event"]
    list_select_related = ["reservation"]
    list_per_page = 60
    search_fields = ["section", "row", "number"]
    fields = ["event", ("section", "row", "number"), "price", "blocked"]
    readonly_fields = ["event", "section", "row", "number"]
    inlines = [ReservationInline]
    actions = ["block", "unblock", "release", "sell"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # a seat needs a place on the map: `load_venue` knows it

    @admin.display(description="State")
    def state(self, seat: Seat) -> str:
        return str(seat.as_event()["state"])

    @admin.display(description="Price", ordering="price")
    def euros(self, seat: Seat) -> str:
        return f"€ {seat.price / 100:.2f}"

    @admin.action(description="Block: not for sale")
    def block(self, request: HttpRequest, seats: QuerySet[Seat]) -> None:
        self.set_blocked(seats, True)

    @admin.action(description="Unblock: for sale again")
    def unblock(self, request: HttpRequest, seats: QuerySet[Seat]) -> None:
        self.set_blocked(seats, False)

    @transaction.atomic
    def set_blocked(self, seats: QuerySet[Seat], blocked: bool) -> None:
        for seat in seats:
            seat.blocked = blocked
            seat.save(update_fields=["blocked"])

    @admin.action(description="Release: end holds and undo sales")
    def release(self, request: HttpRequest, seats: QuerySet[Seat]) -> None:
        with transaction.atomic():
            Reservation.objects.filter(seat__in=seats).delete()

    @admin.action(description="Sell at the door")
    def sell(self, request: HttpRequest, seats: QuerySet[Seat]) -> None:
        for seat in seats:
            try:
                with transaction.atomic():
                    sale = Reservation.objects.take(seat, BOX_OFFICE, None)
            except IntegrityError:
                self.message_user(request, f"{seat} has an owner already.", messages.WARNING)
            else:
                self.message_user(request, f"Sold {sale.seat}.", messages.SUCCESS)
