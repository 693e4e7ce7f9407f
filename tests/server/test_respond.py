"""The extension by which an application answers without a coroutine."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest

from seaway.server.respond import Responder, take_of
from tests.server.harness import CapturedLog, serving, wait_until

HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"5")]


class App:
    """Takes what ``take`` takes; answers the rest as ASGI has it, with the body that came."""

    def __init__(self, take: Callable[[dict[str, Any], Responder], bool]) -> None:
        self._take = take

    def seaway_respond(self, scope: dict[str, Any], responder: Responder) -> bool:
        return self._take(scope, responder)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive()).get("body", b"")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ASGI " + body})


def at_once(_scope: dict[str, Any], responder: Responder) -> bool:
    responder.respond(200, list(HEADERS), b"taken")
    return True


def test_a_request_that_is_taken_is_answered_by_the_responder() -> None:
    with serving(App(at_once)) as server, server.connect() as client:
        for _ in range(3):
            response = client.request("/")
            assert (response.status, response.body) == (200, b"taken")


def test_a_request_that_is_not_taken_is_answered_as_asgi_has_it() -> None:
    with serving(App(lambda *_: False)) as server, server.connect() as client:
        assert client.request("/").body == b"ASGI "


def test_a_request_with_a_body_is_not_offered_even_in_a_pipeline() -> None:
    held: list[Responder] = []

    def later(_scope: dict[str, Any], responder: Responder) -> bool:
        held.append(responder)
        threading.Timer(0.01, loop_call, (responder,)).start()
        return True

    def loop_call(responder: Responder) -> None:
        stream: Any = responder
        loop = stream._connection.context.loop
        loop.call_soon_threadsafe(responder.respond, 200, list(HEADERS), b"taken")

    post = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody"
    with serving(App(later)) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + post)
        assert client.response().body == b"taken"
        assert client.response().body == b"ASGI body"
    assert len(held) == 1


def test_a_coroutine_may_answer_after_all() -> None:
    def run(_scope: dict[str, Any], responder: Responder) -> bool:
        async def late(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 201, "headers": []})
            await send({"type": "http.response.body", "body": scope["path"].encode()})

        responder.run(late)
        return True

    with serving(App(run)) as server, server.connect() as client:
        response = client.request("/late")
        assert (response.status, response.body) == (201, b"/late")


def fail_later(_scope: dict[str, Any], responder: Responder) -> bool:
    responder.fail(ZeroDivisionError("the application's fault"))
    return True


def fail_now(_scope: dict[str, Any], _responder: Responder) -> bool:
    raise ZeroDivisionError("the application's fault")


@pytest.mark.parametrize("take", [fail_later, fail_now])
def test_failures_are_logged_and_a_500(log: CapturedLog, take: Any) -> None:
    with serving(App(take)) as server:
        with server.connect() as client:
            assert client.request("/").status == 500
        wait_until(lambda: "application_failed" in log.events)


def test_a_response_that_http_cannot_carry_is_logged(log: CapturedLog) -> None:
    def wrong(_scope: dict[str, Any], responder: Responder) -> bool:
        responder.respond(200, [(b"content-length", b"3")], b"more than three")
        return True

    with serving(App(wrong)) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: "application_failed" in log.events)


def test_a_response_for_a_client_that_has_gone_is_dropped(log: CapturedLog) -> None:
    held: list[Any] = []

    def later(_scope: dict[str, Any], responder: Responder) -> bool:
        held.append(responder)
        return True

    with serving(App(later)) as server:
        with server.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_until(lambda: held)
            # Zero seconds of lingering: close() sends a reset.
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        context = held[0]._connection.context
        wait_until(lambda: not context.open)
        context.loop.call_soon_threadsafe(held[0].respond, 200, list(HEADERS), b"taken")
        wait_until(lambda: not context.running)
    assert log.tracebacks == []


def test_middleware_that_passes_attributes_through_is_not_passed_by() -> None:
    class Wrapper:
        def __init__(self, app: Any) -> None:
            self._app = app

        def __getattr__(self, name: str) -> Any:
            return getattr(self._app, name)

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self._app(scope, receive, send)

    app = App(at_once)
    assert take_of(app) == app.seaway_respond
    assert take_of(Wrapper(app)) is None
