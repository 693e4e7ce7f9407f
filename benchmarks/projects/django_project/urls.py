"""One view of each kind, behind what a project has anyway."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello, world!")


async def async_hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello, world!")


urlpatterns = [
    path("admin/", admin.site.urls),
    path("sync/", hello),
    path("async/", async_hello),
]
