"""HTTP/1.1 when somebody is at fault: applications that fail, requests that cannot be read."""

from typing import Any

import pytest

from tests.server.applications import http_echo, respond
from tests.server.harness import CapturedLog, serving, wait_until


@pytest.mark.parametrize("started", [False, True])
def test_an_application_that_fails(started: bool, log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if started:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
        raise RuntimeError("boom")

    with serving(app) as server, server.connect() as client:
        client.send(b"GET /path?secret=1 HTTP/1.1\r\nHost: a\r\n\r\n")
        if started:
            with pytest.raises((ConnectionResetError, AssertionError)):
                client.response()
        else:
            assert client.receive_all().startswith(b"HTTP/1.1 500 ")
        wait_until(lambda: "application_failed" in log.events, "the log line")
    assert "secret" not in log.records[0].getMessage()
    assert len(log.tracebacks) == 1


def test_an_application_that_ends_without_a_response(log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        return

    with serving(app) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.receive_all().startswith(b"HTTP/1.1 500 ")
    assert log.events == ["no_response"]


def test_messages_out_of_order_are_the_applications_fault() -> None:
    errors: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for kind in ("http.response.body", "websocket.send"):
            with pytest.raises(RuntimeError) as raised:
                await send({"type": kind})
            errors.append(str(raised.value))
        await respond(send)
        with pytest.raises(RuntimeError) as raised:
            await send({"type": "websocket.send"})
        errors.append(str(raised.value))

    with serving(app) as server, server.connect() as client:
        assert client.request().status == 200
        wait_until(lambda: len(errors) == 3)
    assert errors == [
        "Unexpected ASGI message 'http.response.body' before the response.",
        "Unexpected ASGI message 'websocket.send' before the response.",
        "Unexpected ASGI message 'websocket.send' after the response.",
    ]


def test_messages_behind_the_response_are_ignored_and_noted(log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send)
        await send({"type": "http.response.body", "body": b"more"})

    with serving(app) as server, server.connect() as client:
        assert client.request().body == b"ok"
        assert client.request().body == b"ok"
        wait_until(lambda: log.events == ["message_ignored"] * 2)


def test_a_transfer_encoding_of_the_applications_is_ignored() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        coding = (b"transfer-encoding", b"gzip")
        await respond(send, b"ok", 200, coding)

    with serving(app) as server, server.connect() as client:
        response = client.request()
    assert "transfer-encoding" not in response.headers
    assert response.body == b"ok"


def test_a_body_that_contradicts_its_content_length_becomes_a_500(log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"3")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"four"})

    with serving(app) as server, server.connect() as client:
        assert client.request().status == 500
        assert client.receive_all() == b""
        wait_until(lambda: log.events == ["application_failed"])


def test_a_body_that_goes_on_past_its_content_length_is_cut_off(log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"3")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"on", "more_body": True})
        await send({"type": "http.response.body", "body": b"e!"})

    with serving(app) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises((ConnectionResetError, AssertionError)):
            client.response()
        wait_until(lambda: log.events == ["application_failed"])


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"BLURB\r\n\r\n", 501),
        (b"GET\x00 / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
    ],
)
def test_malformed_requests_are_answered_without_a_traceback(
    request_bytes: bytes, status: int, log: CapturedLog
) -> None:
    with serving(http_echo) as server:
        with server.connect() as client:
            client.send(request_bytes)
            assert client.receive_all().startswith(b"HTTP/1.1 %d " % status)
        with server.connect() as client:
            assert client.request().status == 200
    assert log.tracebacks == []


def test_a_violation_behind_good_requests_is_answered_in_its_turn() -> None:
    with serving(http_echo) as server, server.connect() as client:
        client.send(b"GET /good HTTP/1.1\r\nHost: a\r\n\r\nGET nowhere HTTP/1.1\r\n\r\n")
        assert client.response().body == b"/good:"
        assert client.receive_all().startswith(b"HTTP/1.1 400 ")


def test_a_violation_in_a_body_ends_the_request() -> None:
    with serving(http_echo) as server, server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert client.receive_all().startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 500 "))
