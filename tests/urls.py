"""No views of its own: tests that need some define them."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
