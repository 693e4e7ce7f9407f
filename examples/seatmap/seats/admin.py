"""The box office: block seats, release holds, sell at the door, print the tickets once more.

Everything is saved row by row, so that the signals in `seats.topics` tell every open seat map.
"""

from __future__ import annotations

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from seats.models import Event, Reservation, Seat
from seats.tasks import reprint_all

#: The owner of what is sold at the door; no visitor's tag is like it.
BOX_OFFICE = "box office"


@admin.register(Event)
class EventAdmin(admin.ModelAdmin):
    list_display = ["name", "venue", "starts"]
    change_form_template = "seats/admin/event.html"

    def get_urls(self) -> list[URLPattern]:
        reprint = self.admin_site.admin_view(require_POST(self.reprint))
        own = path("<int:event_id>/reprint/", reprint, name="seats_event_reprint")
        return [own, *super().get_urls()]

    def reprint(self, request: HttpRequest, event_id: int) -> HttpResponse:
        """Leave it to a worker, and show the event's page with a bar that follows the task."""
        event = get_object_or_404(Event, pk=event_id)
        if not self.has_change_permission(request, event):
            raise PermissionDenied
        task = reprint_all.enqueue(event_id=event.pk)
        return redirect(f"{reverse('admin:seats_event_change', args=[event.pk])}?task={task.id}")


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
