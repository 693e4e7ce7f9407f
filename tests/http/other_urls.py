"""What `request.urlconf` may point to: sync and async views have changed places."""

from django.urls import path

from tests.http import views

urlpatterns = [
    path("hello/", views.async_kind),
    path("async/hello/", views.kind),
]
