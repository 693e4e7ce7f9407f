"""Synchronous views, each for one behaviour. What they notice around them goes into `seen`."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.contrib import messages
from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadedfile import UploadedFile
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template import engines
from django.template.response import SimpleTemplateResponse
from django.urls import reverse
from django.utils import translation

#: What views have noticed; tests of one process read it.
seen: list[Any] = []
#: Where views meet tests.
barrier = threading.Barrier(3)
go_on = threading.Event()

visitor: contextvars.ContextVar[str] = contextvars.ContextVar("visitor", default="nobody")

#: More than what the kernel and the server hold between them.
MUCH = 64 * 1024 * 1024


def thread() -> str:
    return threading.current_thread().name


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello, world!")


def echo(request: HttpRequest) -> HttpResponse:
    return JsonResponse(
        {
            "method": request.method,
            "path": request.path,
            "query": request.GET.dict(),
            "body": request.body.decode(),
            "cookies": request.COOKIES,
            "headers": dict(request.headers),
        }
    )


def unread(request: HttpRequest) -> HttpResponse:
    return HttpResponse("not read")


def where(request: HttpRequest) -> HttpResponse:
    return HttpResponse(thread())


def meet(request: HttpRequest) -> HttpResponse:
    barrier.wait(30)
    return HttpResponse(thread())


def context(request: HttpRequest) -> HttpResponse:
    before = visitor.get()
    visitor.set("view")
    return HttpResponse(before)


def activate_language(request: HttpRequest) -> HttpResponse:
    translation.activate("is")
    return HttpResponse(translation.get_language())


def language(request: HttpRequest) -> HttpResponse:
    return HttpResponse(translation.get_language())


def reversed_hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{reverse('hello')} {request.path} {request.path_info}")


def fail(request: HttpRequest) -> HttpResponse:
    raise ZeroDivisionError("the view's fault")


def leave(request: HttpRequest) -> HttpResponse:
    raise SystemExit(3)


def missing(request: HttpRequest) -> HttpResponse:
    raise Http404("nothing here")


def nothing(request: HttpRequest) -> HttpResponse:
    return None  # type: ignore[return-value]  # the mistake that is tested


def template(request: HttpRequest) -> SimpleTemplateResponse:
    found = engines["django"].from_string("{{ greeting }}, {{ name }}")
    return SimpleTemplateResponse(found, {"greeting": "Hi"})


def cookies(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("cookies")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2", httponly=True)
    return response


def status(request: HttpRequest, code: int) -> HttpResponse:
    return HttpResponse("content that may not be sent", status=code)


def upload(request: HttpRequest) -> HttpResponse:
    found = request.FILES["file"]
    assert isinstance(found, UploadedFile)
    on_disk = hasattr(request._stream, "fileno") and not _in_memory(request._stream)
    return JsonResponse({"size": found.size, "kind": type(found).__name__, "on_disk": on_disk})


def _in_memory(stream: Any) -> bool:
    try:
        stream.fileno()
    except OSError:
        return True
    return False


def slow(request: HttpRequest) -> HttpResponse:
    seen.append("begun")
    go_on.wait(30)
    seen.append("ended")
    return HttpResponse("slow")


class Parts:
    """An iterable that notices its thread, how far it was read, and its close."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self.parts = parts
        self.made = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        part = next(self.parts)
        self.made += 1
        return part

    def close(self) -> None:
        seen.append(("closed", thread()))


def stream(request: HttpRequest) -> StreamingHttpResponse:
    view = thread()
    return StreamingHttpResponse(
        Parts(f"{number} {thread() == view}\n".encode() for number in range(3))
    )


def endless(request: HttpRequest) -> StreamingHttpResponse:
    parts = Parts(iter(lambda: b"x" * 65536, None))
    seen.append(parts)
    return StreamingHttpResponse(parts)


def late(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        try:
            go_on.wait(30)
            yield b"late"
            while "endless" in request.GET:
                yield b"later"
        finally:
            seen.append("closed")

    return StreamingHttpResponse(parts())


def fails_after(after: int) -> Iterator[bytes]:
    for _ in range(after):
        yield b"part"
    raise ZeroDivisionError("the iterator's fault")


def stream_fails_first(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(fails_after(0))


def stream_fails_later(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(fails_after(2))


async def numbers() -> AsyncIterator[bytes]:
    for number in range(3):
        await asyncio.sleep(0)
        yield f"{number}\n".encode()


def async_parts_from_sync(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(numbers())


def file(request: HttpRequest) -> FileResponse:
    found = Path(request.GET["path"]).open("rb")  # noqa: SIM115 - the response closes it
    seen.append(found)
    return FileResponse(found)


def session(request: HttpRequest) -> HttpResponse:
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(str(request.session["count"]))


def message(request: HttpRequest) -> HttpResponse:
    if "add" in request.GET:
        messages.info(request, request.GET["add"])
        return HttpResponse("added")
    return HttpResponse(",".join(str(found) for found in messages.get_messages(request)))


def form(request: HttpRequest) -> HttpResponse:
    from django.middleware.csrf import get_token

    return HttpResponse(get_token(request) if request.method == "GET" else request.POST["field"])


def calls_async(request: HttpRequest) -> HttpResponse:
    async def inside() -> str:
        return f"{thread() != outside} {await sync_to_async(thread)() == outside}"

    outside = thread()
    return HttpResponse(async_to_sync(inside)())


def suspicious(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation


def unawaited(request: HttpRequest) -> Any:
    seen.append(sync_to_async(hello)(request))
    return seen[-1]


def kind(request: HttpRequest) -> HttpResponse:
    return HttpResponse("sync")


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse("our 404", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    if "broken" in request.GET:
        raise RuntimeError("the handler's fault")
    return HttpResponse("our 500", status=500)
