"""What `request.urlconf` may point to: sync and async views have changed places."""

from django.urls import path

from tests.http import async_views, views

urlpatterns = [
    path("hello/", async_views.async_kind),
    path("async/hello/", views.kind),
]
