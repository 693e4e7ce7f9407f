"""Consumers under Seaway's server when it goes, and those that keep a thread."""

import asyncio
import threading
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from seaway.consumers import AsyncConsumer
from seaway.exceptions import CloseCode
from seaway.routing import ProtocolTypeRouter
from tests.consumers.echoes import Echo, SyncEcho, client
from tests.server.harness import serving, wait_until

# The server's end --------------------------------------------------------------------------------


def test_a_consumer_may_say_goodbye_when_the_server_goes() -> None:
    codes: list[int] = []

    class Polite(Echo):
        async def server_shutdown(self) -> None:
            await asyncio.sleep(0)
            await self.send(text_data="goodbye")

        async def disconnect(self, code: int) -> None:
            codes.append(code)

    app: Any = ProtocolTypeRouter({"websocket": Polite.as_asgi()})
    with serving(app, lifespan="on") as server, client(server) as one:
        one.send("hello")
        assert one.recv(20) == "hello"
        server.runner.stop()
        assert one.recv(20) == "goodbye"
        with pytest.raises(ConnectionClosed) as closed:
            one.recv(20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == CloseCode.SERVICE_RESTART
        # The end of the block stops the server once more, which cuts everything short.
        wait_until(lambda: codes == [CloseCode.SERVICE_RESTART])


def test_a_goodbye_that_does_not_end_is_cut_short() -> None:
    class Endless(Echo):
        shutdown_seconds = 0.05
        disconnect_grace = 0.05

        async def server_shutdown(self) -> None:
            await asyncio.Event().wait()

    app: Any = ProtocolTypeRouter({"websocket": Endless.as_asgi()})
    with serving(app, lifespan="on") as server, client(server) as one:
        one.send("hello")
        assert one.recv(20) == "hello"
        server.runner.stop()
        with pytest.raises(ConnectionClosed) as closed:
            one.recv(20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == CloseCode.SERVICE_RESTART


def test_the_server_waits_for_disconnect_handlers() -> None:
    ended = threading.Event()

    class Slow(Echo):
        async def disconnect(self, code: int) -> None:
            await asyncio.sleep(0.2)
            ended.set()

    app: Any = ProtocolTypeRouter({"websocket": Slow.as_asgi()})
    with serving(app, lifespan="on") as server, client(server) as one:
        one.send("hello")
        assert one.recv(20) == "hello"
    assert ended.is_set()


# Threads -----------------------------------------------------------------------------------------


def test_sync_consumers_do_not_wait_for_one_another() -> None:
    together = threading.Barrier(2)

    class Meeting(SyncEcho):
        def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            together.wait(20)
            self.send(text_data="met")

    app = Meeting.as_asgi()
    with serving(app) as server, client(server) as one, client(server) as two:
        one.send("x")
        two.send("x")
        assert one.recv(20) == two.recv(20) == "met"


def test_send_on_the_loop_of_a_sync_consumer_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    class Mixed(SyncEcho):
        async def websocket_receive(self, message: Any) -> None:  # type: ignore[override]
            self.close()

    with serving(Mixed.as_asgi()) as server, client(server) as one:
        one.send("x")
        with pytest.raises(ConnectionClosed):
            one.recv(20)
    assert "SyncCallInLoop" in caplog.text


def test_an_error_of_a_plain_consumer_is_the_servers_to_log() -> None:
    class Plain(AsyncConsumer):
        async def websocket_connect(self, message: Any) -> None:
            raise KeyError("before accept")

    with serving(Plain.as_asgi()) as server, server.connect() as raw:
        assert b" 500 " in raw.upgrade().split(b"\r\n")[0]
