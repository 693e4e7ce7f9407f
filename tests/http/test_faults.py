"""Servers that fail in the middle, in process: whatever breaks, what was opened is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.signals import request_finished
from django.test import override_settings

from seaway import pool
from seaway.http import get_http_application, with_static_files
from tests.http import views


@pytest.fixture(autouse=True)
def site() -> Iterator[None]:
    views.seen.clear()
    options = {"LAYER": "memory://", "THREADS": 1, "HELD_THREADS": 0}
    with override_settings(ROOT_URLCONF="tests.http.urls", MIDDLEWARE=[], SEAWAY=options):
        yield
    pool._forget()


@pytest.fixture
def ends() -> Iterator[list[str]]:
    """Filled when a request is finished."""
    found: list[str] = []

    def finished(**_: Any) -> None:
        found.append("finished")

    request_finished.connect(finished)
    yield found
    request_finished.disconnect(finished)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - set from other threads, and by Django
            await asyncio.sleep(0.005)


class Exchange:
    """One request; the server's `send` fails when it is called for the nth time."""

    def __init__(self, path: str, *, fails_at: int = 0, kind: str = "http") -> None:
        self.sent: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self._fails_at = fails_at
        self._asked = False
        self.scope = {
            "type": kind,
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"testserver")],
        }

    async def receive(self) -> dict[str, Any]:
        if self._asked:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        self._asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if len(self.sent) == self._fails_at:
            raise ConnectionResetError("the client has gone")

    async def run(self, application: Any = None) -> None:
        await (application or get_http_application())(self.scope, self.receive, self.send)


async def test_only_http_is_served() -> None:
    with pytest.raises(ValueError, match="websocket"):
        await Exchange("/", kind="websocket").run()


@pytest.mark.parametrize("fails_at", [1, 2, 3])
@pytest.mark.parametrize("path", ["/endless/", "/async/sync-parts/"])
async def test_a_server_that_fails_ends_the_iterator(path: str, fails_at: int) -> None:
    exchange = Exchange(path, fails_at=fails_at)
    with pytest.raises(ConnectionResetError):
        await exchange.run()
    await until(lambda: len(views.seen) == 2)
    assert views.seen[1][0] == "closed"


@pytest.mark.parametrize("fails_at", [1, 2])
@pytest.mark.parametrize("path", ["/events/", "/async/events/"])
async def test_a_server_that_fails_ends_the_asynchronous_iterator(
    ends: list[str], path: str, fails_at: int
) -> None:
    with pytest.raises(ConnectionResetError):
        await Exchange(path, fails_at=fails_at).run()
    await until(lambda: ends)
    # What was never begun has nothing to close.
    assert views.seen == (["closed"] if fails_at == 2 else [])


@pytest.mark.parametrize("fails_at", [1, 2])
@pytest.mark.parametrize("path", ["/hello/", "/async/hello/"])
async def test_a_server_that_fails_has_the_response_closed(
    ends: list[str], path: str, fails_at: int
) -> None:
    with pytest.raises(ConnectionResetError):
        await Exchange(path, fails_at=fails_at).run()
    await until(lambda: ends)


async def test_a_view_whose_request_is_cancelled_runs_on(ends: list[str]) -> None:
    views.go_on.clear()
    task = asyncio.create_task(Exchange("/slow/").run())
    await until(lambda: views.seen)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    views.go_on.set()
    await until(lambda: ends)
    assert views.seen == ["begun", "ended"]


async def test_a_stream_that_nobody_awaits_any_more_is_closed(ends: list[str]) -> None:
    application = get_http_application()
    views.go_on.clear()
    first = asyncio.create_task(Exchange("/slow/").run(application))
    second = asyncio.create_task(Exchange("/endless/").run(application))
    await until(lambda: views.seen)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    views.go_on.set()
    await first
    await until(lambda: len(ends) == 2)
    assert views.seen[-1][0] == "closed"


async def test_an_async_view_may_be_cancelled_from_outside(ends: list[str]) -> None:
    task = asyncio.create_task(Exchange("/async/wait/").run())
    await until(lambda: views.seen)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert views.seen == ["begun", "cancelled"]
    await until(lambda: ends)


async def test_an_async_view_ends_quietly_when_the_client_goes(ends: list[str]) -> None:
    exchange = Exchange("/async/wait/")
    task = asyncio.create_task(exchange.run())
    await until(lambda: views.seen)
    exchange.gone.set()
    await task
    assert exchange.sent == []
    assert task.cancelling() == 0
    await until(lambda: ends)


async def test_under_thread_sensitive_everything_runs_in_asgirefs_thread() -> None:
    """For `TestCase`, whose transaction belongs to one thread."""
    with pool.thread_sensitive():
        names = []
        for path in ("/where/", "/async/threads/"):
            exchange = Exchange(path)
            await exchange.run()
            names.append(exchange.sent[1]["body"])
    assert names[0] == names[1]
    assert not names[0].startswith(b"seaway-sync")


@pytest.mark.parametrize(("static_files", "status"), [(False, 404), (True, 200)])
async def test_static_files_are_served_when_asked_for(static_files: bool, status: int) -> None:
    exchange = Exchange("/static/admin/css/base.css")
    await exchange.run(get_http_application(static_files=static_files))
    assert exchange.sent[0]["status"] == status
    if status == 200:
        body = b"".join(message.get("body", b"") for message in exchange.sent[1:])
        assert b"--primary" in body


async def test_other_scopes_pass_the_static_files_by() -> None:
    seen: list[str] = []

    async def inner(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await Exchange("/static/admin/css/base.css", kind="websocket").run(with_static_files(inner))
    await Exchange("/", kind="lifespan").run(with_static_files(inner))
    assert seen == ["websocket", "lifespan"]
