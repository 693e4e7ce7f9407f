"""Middleware of every kind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import async_only_middleware, sync_and_async_middleware
from django.utils.deprecation import MiddlewareMixin

from tests.http.views import seen, visitor

Get = Callable[[HttpRequest], Any]


def sync_only(get_response: Get) -> Get:
    def middleware(request: HttpRequest) -> Any:
        seen.append("sync in")
        response = get_response(request)
        seen.append("sync out")
        return response

    return middleware


@async_only_middleware
def async_only(get_response: Get) -> Get:
    async def middleware(request: HttpRequest) -> Any:
        seen.append("async in")
        response = await get_response(request)
        seen.append("async out")
        return response

    return middleware


@sync_and_async_middleware
def both(get_response: Get) -> Get:
    if iscoroutinefunction(get_response):

        async def on_loop(request: HttpRequest) -> Any:
            seen.append("both, async")
            return await get_response(request)

        return on_loop

    def in_thread(request: HttpRequest) -> Any:
        seen.append("both, sync")
        return get_response(request)

    return in_thread


def other_urlconf(get_response: Get) -> Get:
    def middleware(request: HttpRequest) -> Any:
        request.urlconf = "tests.http.other_urls"
        return get_response(request)

    return middleware


class Hooks(MiddlewareMixin):
    def process_request(self, request: HttpRequest) -> None:
        seen.append(("request", threading.current_thread().name))

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        seen.append("view")

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse:
        seen.append("exception")
        return HttpResponse(f"caught {type(exception).__name__}", status=418)

    def process_template_response(self, request: HttpRequest, response: Any) -> Any:
        seen.append("template")
        response.context_data["name"] = "middleware"
        return response

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        seen.append("response")
        response["X-Hooks"] = "yes"
        return response


class SubclassedSession(SessionMiddleware):
    """Somebody else's, although Django's is its base."""

    def process_request(self, request: HttpRequest) -> None:
        seen.append(threading.current_thread().name)
        super().process_request(request)


def failing(get_response: Get) -> Get:
    def middleware(request: HttpRequest) -> Any:
        raise ZeroDivisionError("the middleware's fault")

    return middleware


def around_asgi(app: Any) -> Any:
    """ASGI middleware that leaves something in the context."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        visitor.set("asgi")
        await app(scope, receive, send)

    return application
