"""The seat map's pages."""

from django.urls import path

from seats import views

urlpatterns = [
    path("", views.index, name="index"),
    path("events/<int:event_id>/", views.seat_map, name="seat-map"),
]
