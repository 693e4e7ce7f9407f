"""Asynchronous views, each for one behaviour: the twins of those in `views`, and their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import SuspiciousOperation
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import SimpleTemplateResponse
from django.utils import translation
from django.views import View

from tests.http.views import (
    MUCH,
    Parts,
    echo,
    fails_after,
    file,
    form,
    message,
    numbers,
    seen,
    template,
    thread,
    unawaited,
)


async def async_kind(request: HttpRequest) -> HttpResponse:
    return HttpResponse("async")


async def async_hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello, world!")


async def async_echo(request: HttpRequest) -> HttpResponse:
    return echo(request)


async def async_threads(request: HttpRequest) -> HttpResponse:
    threads = {await sync_to_async(thread)() for _ in range(3)}
    threads |= set(await asyncio.gather(sync_to_async(thread)(), sync_to_async(thread)()))
    return HttpResponse(",".join(threads))


async def async_wait(request: HttpRequest) -> HttpResponse:
    seen.append("begun")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise
    return HttpResponse("waited")


async def async_stubborn(request: HttpRequest) -> HttpResponse:
    seen.append("begun")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        seen.append("cancelled")
    return HttpResponse("for nobody")


async def async_timeout(request: HttpRequest) -> HttpResponse:
    task = asyncio.current_task()
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)
    except TimeoutError:
        return HttpResponse(f"timed out, {asyncio.current_task() is task}")
    return HttpResponse("not timed out")


async def async_fail(request: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0)
    raise ZeroDivisionError("the view's fault")


async def async_suspicious(request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation


async def async_unawaited(request: HttpRequest) -> Any:
    return unawaited(request)


async def async_missing(request: HttpRequest) -> HttpResponse:
    raise Http404("nothing here")


async def async_stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(numbers())


async def _events() -> AsyncIterator[bytes]:
    try:
        yield b"data: first\n\n"
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise
    finally:
        seen.append("closed")


def events(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(_events(), content_type="text/event-stream")


async def async_events(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(_events(), content_type="text/event-stream")


async def async_view_of_sync_parts(request: HttpRequest) -> StreamingHttpResponse:
    parts = Parts(b"x" * 65536 for _ in range(MUCH // 65536))
    seen.append(parts)
    return StreamingHttpResponse(parts)


async def async_stream_fails_first(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(_fails_async(0))


async def async_stream_fails_later(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(_fails_async(2))


async def _fails_async(after: int) -> AsyncIterator[bytes]:
    for part in fails_after(after):
        yield part


async def async_file(request: HttpRequest) -> FileResponse:
    return await sync_to_async(file)(request)


async def async_session(request: HttpRequest) -> HttpResponse:
    count = await request.session.aget("count", 0) + 1
    await request.session.aset("count", count)
    return HttpResponse(str(count))


async def async_message(request: HttpRequest) -> HttpResponse:
    return message(request)


async def async_form(request: HttpRequest) -> HttpResponse:
    return form(request)


async def async_template(request: HttpRequest) -> SimpleTemplateResponse:
    return template(request)


async def async_language(request: HttpRequest) -> HttpResponse:
    return HttpResponse(translation.get_language())


class AsyncClass(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(str(bool(asyncio.current_task())))
