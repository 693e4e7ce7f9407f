"""Pages: who serves this TCP connection, a session of one's own, an empty page for scripts."""

import os

from django.http import HttpRequest, HttpResponse
from django.urls import path


def pid(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(os.getpid()))


def login(request: HttpRequest, name: str) -> HttpResponse:
    request.session["name"] = name
    return HttpResponse(name)


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("<!doctype html><title>A page</title>")


urlpatterns = [path("pid", pid), path("login/<str:name>", login), path("", page)]
