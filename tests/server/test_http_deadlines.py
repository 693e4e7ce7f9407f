"""HTTP/1.1 and clients that do not go on: what is waited for, and how long."""

import asyncio
import contextlib
import threading
import time
from typing import Any

import pytest

from seaway.server.asgi_types import ClientDisconnected
from tests.server.applications import http_echo, respond
from tests.server.harness import serving, wait_until


def test_half_a_head_is_timed_out() -> None:
    with serving(http_echo, header_timeout=0.2) as server:
        with server.connect() as client:
            client.send(b"GET / HTTP/1.1\r\nHos")
            assert client.receive_all().startswith(b"HTTP/1.1 408 ")
        with server.connect() as silent:
            assert silent.receive_all() == b""


def test_a_head_that_trickles_in_is_timed_out_all_the_same() -> None:
    with serving(http_echo, header_timeout=0.3) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\n")
        client.socket.settimeout(0.02)
        received = b""
        for _ in range(1000):
            try:
                received = client.socket.recv(1000)
                break
            except TimeoutError:
                client.send(b"X: y\r\n")
        assert received.startswith(b"HTTP/1.1 408 ")


def test_an_idle_connection_is_closed() -> None:
    with serving(http_echo, idle_timeout=0.2) as server, server.connect() as client:
        assert client.request().status == 200
        assert client.receive_all() == b""


def test_a_body_that_stalls_is_given_up() -> None:
    with serving(http_echo, body_timeout=0.2) as server, server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
        assert client.receive_all().startswith(b"HTTP/1.1 408 ")


def test_a_body_that_trickles_in_is_given_up_all_the_same() -> None:
    with serving(http_echo, body_timeout=0.3) as server, server.connect() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        client.socket.settimeout(0.02)
        received = b""
        # A byte at a time, for as long as the server listens.
        for _ in range(1000):
            client.send(b"x")
            with contextlib.suppress(TimeoutError):
                received = client.socket.recv(65536)
                break
        assert received.startswith(b"HTTP/1.1 408 ")


def test_a_body_may_take_as_long_as_it_goes_on() -> None:
    with serving(http_echo, body_timeout=1.0) as server, server.connect() as client:
        size = 12 * 2048
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        started = time.monotonic()
        for _ in range(12):
            client.send(bytes(2048))
            # What is tested is that time passes, more than `body_timeout`.
            time.sleep(0.1)
        assert time.monotonic() - started > 1.0
        assert client.response().status == 200


def test_a_client_that_waits_for_its_100_is_not_timed() -> None:
    waiting = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.to_thread(waiting.wait, 10)
        message = await receive()
        await respond(send, message["body"])

    with serving(app, body_timeout=0.1) as server, server.connect() as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        client.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.receive_until(b"\r\n\r\n")
        client.socket.settimeout(10)
        waiting.set()
        assert client.receive_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"ok")
        assert client.response().body == b"ok"


def test_a_reader_keeps_its_connection_as_long_as_it_takes_something() -> None:
    size = 16 * 1024 * 1024
    connections: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        connections.append(send.__self__._connection)
        await respond(send, bytes(size), 200, (b"connection", b"close"))

    with serving(app) as server, server.connect(receive_buffer=65536) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: connections and connections[0].closing)
        connection = connections[0]
        unsent = connection._unsent
        assert unsent
        received = 0
        while connection.transport.get_write_buffer_size() >= unsent:
            received += len(client.socket.recv(65536))
        # The time is up, but something has moved: it gets more.
        connection.context.loop.call_soon_threadsafe(connection.expire)
        wait_until(lambda: connection._unsent < unsent)
        # From here on nothing moves.
        wait_until(
            lambda: (
                connection.context.loop.call_soon_threadsafe(connection.expire),
                connection not in connection.context.open,
            )[1]
        )
        assert received + len(client.receive_all()) < size


def test_a_client_that_takes_nothing_is_dropped() -> None:
    ended: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
        except OSError as error:
            ended.append(type(error))
            raise

    with serving(app, idle_timeout=0.2) as server, server.connect(receive_buffer=65536) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: ended)
    assert ended == [ClientDisconnected]


def test_a_refused_handshake_does_not_keep_its_connection() -> None:
    def served() -> bool:
        with server.connect() as other:
            return other.request().status == 200

    options = {"max_connections": 1, "ping_interval": 0.2}
    with serving(http_echo, **options) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n")
        client.send(b"Connection: Upgrade\r\n\r\n")
        assert client.receive_all().startswith(b"HTTP/1.1 426 ")
        # The client keeps its end open; the server lets go of its own after the linger.
        wait_until(served)
