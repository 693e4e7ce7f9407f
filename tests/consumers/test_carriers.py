"""Consumers under Seaway's server: taken over, without a task, and waiting for slow clients."""

import asyncio
import threading
from typing import Any

import pytest
from django.urls import path
from websockets.exceptions import ConnectionClosed

from seaway.consumers import AsyncHttpConsumer
from seaway.middleware import BaseMiddleware
from seaway.routing import ProtocolTypeRouter, URLRouter
from seaway.security.websocket import OriginValidator
from seaway.sessions import SessionMiddlewareStack
from tests.consumers.echoes import LIVE, Echo, SyncEcho, client, taken, tasks_of
from tests.server.harness import BINARY, CLOSE, TEXT, masked, serving, upgrade_request, wait_until


@pytest.mark.parametrize("consumer", [Echo, SyncEcho])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_text_and_bytes_come_back(consumer: Any, compression: Any) -> None:
    with serving(consumer.as_asgi()) as server, client(server, compression=compression) as one:
        for message in ("hello", b"\0\1", "ä" * 1000, b"x" * 1000, ""):
            one.send(message)
            assert one.recv(20) == message
        assert taken(LIVE[0])


def test_an_idle_consumer_has_no_task_and_forgets_the_handshake() -> None:
    with serving(Echo.as_asgi()) as server:
        before = tasks_of(server)
        with client(server) as one, client(server) as two:
            for each in (one, two):
                each.send("hello")
                assert each.recv(20) == "hello"
            wait_until(lambda: tasks_of(server) <= before + 2 * FOREIGN_LAYER_TASKS)
            assert all("seaway.handoff" not in each.scope["extensions"] for each in LIVE)


#: A layer without ``subscribe`` costs a task for each consumer.
FOREIGN_LAYER_TASKS = 1


def test_our_own_middleware_does_not_hinder_the_handoff() -> None:
    echo: Any = URLRouter([path("echo/", Echo.as_asgi())])
    inner = URLRouter([path("ws/", echo)])
    stack = OriginValidator(BaseMiddleware(SessionMiddlewareStack(inner)), ["*"])
    app: Any = ProtocolTypeRouter({"websocket": stack})
    with serving(app, lifespan="on") as server, client(server, "/ws/echo/") as one:
        one.send("hello")
        assert one.recv(20) == "hello"
        assert taken(LIVE[0])


class Holding:
    """Middleware of a project that has work to do at the connection's end."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.ended = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.inner(scope, receive, send)
        finally:
            self.ended.set()


class Subclass(BaseMiddleware):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return await super().__call__({**scope, "tenant": "acme"}, receive, send)


class Ending(Subclass):
    ends_at_handoff = True


@pytest.mark.parametrize("inside", [True, False])
def test_middleware_of_others_keeps_the_connection_until_its_end(inside: bool) -> None:
    holding = Holding(BaseMiddleware(Echo.as_asgi()))
    app = BaseMiddleware(holding) if inside else holding
    with serving(app) as server:
        with client(server) as one:
            one.send("hello")
            assert one.recv(20) == "hello"
            assert not taken(LIVE[0])
            assert not holding.ended.is_set()
        assert holding.ended.wait(20)


@pytest.mark.parametrize(("middleware", "hands_off"), [(Subclass, False), (Ending, True)])
def test_a_subclass_says_whether_it_ends_at_the_handoff(middleware: Any, hands_off: bool) -> None:
    with serving(middleware(Echo.as_asgi())) as server, client(server) as one:
        one.send("hello")
        assert one.recv(20) == "hello"
        assert LIVE[0].scope["tenant"] == "acme"
        assert taken(LIVE[0]) is hands_off


def test_a_consumer_with_a_call_of_its_own_keeps_its_coroutine() -> None:
    ended = threading.Event()

    class Own(Echo):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await super().__call__(scope, receive, send)
            ended.set()

    with serving(Own.as_asgi()) as server:
        with client(server) as one:
            one.send("hello")
            assert one.recv(20) == "hello"
            assert not ended.is_set()
        assert ended.wait(20)


def test_what_a_client_says_with_its_handshake_is_heard_in_order() -> None:
    with serving(Echo.as_asgi()) as server, server.connect() as raw:
        raw.send(upgrade_request() + b"".join(masked(TEXT, b"%d" % n) for n in range(50)))
        raw.receive_until(b"\r\n\r\n")
        assert [raw.frame() for _ in range(50)] == [(TEXT, b"%d" % n) for n in range(50)]


@pytest.mark.parametrize("consumer", [Echo, SyncEcho])
def test_disconnect_gets_the_code_of_the_client(consumer: Any) -> None:
    codes: list[int] = []

    class Noting(consumer):  # type: ignore[misc]  # a parameter
        def disconnect(self, code: int) -> Any:
            codes.append(code)
            return asyncio.sleep(0) if not self._sync else None

    with serving(Noting.as_asgi()) as server:
        with client(server) as one:
            one.close(4321)
        wait_until(lambda: codes == [4321])


def test_close_codes_and_reasons_reach_the_client() -> None:
    class Closing(Echo):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            await self.close(4007, "enough")

    with serving(Closing.as_asgi()) as server, client(server) as one:
        one.send("x")
        with pytest.raises(ConnectionClosed) as closed:
            one.recv(20)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4007, "enough")


def test_a_failing_consumer_is_logged_and_closed(caplog: pytest.LogCaptureFixture) -> None:
    codes: list[int] = []

    class Failing(Echo):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            raise KeyError("x")

        async def disconnect(self, code: int) -> None:
            codes.append(code)

    with serving(Failing.as_asgi()) as server, client(server, "/room/") as one:
        one.send("x")
        with pytest.raises(ConnectionClosed) as closed:
            one.recv(20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
    assert codes == [1011]
    assert "Failing failed path=/room/" in caplog.text


@pytest.mark.parametrize("sync", [True, False])
def test_a_client_that_does_not_read_makes_its_consumer_wait(sync: bool) -> None:
    sent: list[int] = []

    class Async(Echo):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            for number in range(200):
                await self.send(bytes_data=bytes(100_000))
                sent.append(number)

    class Sync(SyncEcho):
        def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            for number in range(200):
                self.send(bytes_data=bytes(100_000))
                sent.append(number)

    consumer: Any = Sync if sync else Async
    with serving(consumer.as_asgi()) as server:
        with server.connect(receive_buffer=4096) as raw:
            raw.upgrade()
            raw.send(masked(TEXT, b"go"))
            wait_until(lambda: len(sent) > 0)
            run = LIVE[0]._seaway
            wait_until(lambda: not run.carrier.sink.writable)
            assert len(sent) < 150
            for _ in range(200):
                assert raw.frame() == (BINARY, bytes(100_000))
        wait_until(lambda: len(sent) == 200)


def test_a_client_that_sends_without_end_is_read_no_further() -> None:
    go_on = threading.Event()
    handled: list[str] = []

    class Slow(SyncEcho):
        def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            go_on.wait(20)
            handled.append(text_data)

    with serving(Slow.as_asgi()) as server, client(server) as one:
        for number in range(500):
            one.send(str(number))
        wait_until(lambda: LIVE and LIVE[0]._seaway.paused)
        go_on.set()
        wait_until(lambda: len(handled) == 500)
        assert handled == [str(number) for number in range(500)]


@pytest.mark.parametrize("sync", [True, False])
def test_who_has_closed_may_go_on_sending_into_nothing(sync: bool) -> None:
    done = threading.Event()

    class Async(Echo):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            await self.close(4000)
            await self.send(text_data="too late")
            done.set()

    class Sync(SyncEcho):
        def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            self.close(4000)
            self.send(text_data="too late")
            done.set()

    consumer: Any = Sync if sync else Async
    with serving(consumer.as_asgi()) as server, server.connect() as raw:
        raw.upgrade()
        raw.send(masked(TEXT, b"x"))
        assert raw.frame() == (CLOSE, (4000).to_bytes(2, "big"))
        # The client has not answered the close, and nobody waits for that.
        assert done.wait(5)


def test_a_refused_connection_is_forgotten() -> None:
    codes: list[int] = []

    class Refusing(Echo):
        async def connect(self) -> None:
            await self.close()

        async def disconnect(self, code: int) -> None:
            codes.append(code)

    with serving(Refusing.as_asgi()) as server:
        before = tasks_of(server)
        with server.connect() as raw:
            assert b" 403 " in raw.upgrade().split(b"\r\n")[0]
        wait_until(lambda: codes == [1006])
        wait_until(lambda: tasks_of(server) <= before)


def test_http_goes_through_receive_and_send() -> None:
    ended = threading.Event()

    class Answer(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            await self.send_response(200, body or b"nothing", headers={b"content-length": b"7"})

        async def disconnect(self) -> None:
            ended.set()

    with serving(Answer.as_asgi()) as server, server.connect() as raw:
        response = raw.request("/")
        assert (response.status, response.body) == (200, b"nothing")
        assert ended.wait(20)
        assert raw.request("/").status == 200
