"""What is asked for: a page of the code's version, and a page that publishes."""

import os
from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.urls import path

from soak.project.topics import Feed

#: Read when the code is loaded, as code is: a reload serves the next one.
VERSION = (Path(os.environ["SOAK_FOLDER"]) / "version").read_text(encoding="utf-8")


def version(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{VERSION} {len(request.body)}\n")


def publish(request: HttpRequest, source: str, number: int) -> HttpResponse:
    position = Feed.at().publish("tick", {"source": source, "number": number})
    assert position is not None  # noqa: S101 - no transaction is open
    return HttpResponse(f"{position.epoch} {position.offset}\n")


urlpatterns = [path("version", version), path("publish/<str:source>/<int:number>", publish)]
