"""The handoff: a connection without a task, a queue or a scope."""

import asyncio
import gc
import threading
from typing import Any

import pytest

from seaway.protocol.http1 import Http1Connection
from seaway.server.connection import HttpConnection
from seaway.server.flow import Gate
from seaway.server.handoff import Sink
from seaway.server.http_stream import HttpStream
from seaway.server.websocket_stream import WebSocketStream
from tests.server.harness import (
    BINARY,
    CLOSE,
    TEXT,
    CapturedLog,
    masked,
    serving,
    upgrade_request,
    wait_until,
)


class Recorder:
    """A handler that notes what it is told, and can be told to fail."""

    def __init__(self, fails_on: str = "") -> None:
        self.sink: Sink
        self.loop = asyncio.get_running_loop()
        self.told: list[Any] = []
        self.fails_on = fails_on

    def on_message(self, data: str | bytes) -> None:
        self.note("message", data)

    def on_writable(self) -> None:
        self.note("writable")

    def on_close(self, code: int, reason: str) -> None:
        self.note("close", code, reason)

    def note(self, *what: Any) -> None:
        self.told.append(what)
        if what[0] == self.fails_on:
            raise RuntimeError(f"failing on {what[0]}")

    def do(self, action: Any) -> Any:
        """Run ``action(sink)`` on the server's loop."""

        async def run() -> Any:
            return action(self.sink)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20)


class TakingApp:
    """Accepts, waits where it is told to, and takes over."""

    def __init__(self, *, fails_on: str = "", wait: threading.Event | None = None) -> None:
        self.handlers: list[Recorder] = []
        self.errors: list[str] = []
        self._fails_on = fails_on
        self._wait = wait

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        take = scope["extensions"]["seaway.handoff"]["take"]
        handler = Recorder(self._fails_on)
        await receive()
        with pytest.raises(RuntimeError, match="accepted"):
            take(handler)
        await send({"type": "websocket.accept"})
        if self._wait is not None:
            await asyncio.to_thread(self._wait.wait, 20)
        handler.sink = take(handler)
        handler.told.append(("taken",))
        with pytest.raises(RuntimeError, match="already"):
            take(handler)
        self.handlers.append(handler)

    @property
    def handler(self) -> Recorder:
        wait_until(lambda: self.handlers, "the handoff")
        return self.handlers[0]


def test_messages_go_both_ways_after_the_handoff() -> None:
    app = TakingApp()
    with serving(app) as server, server.connect() as client:
        client.upgrade()
        handler = app.handler
        client.send(masked(TEXT, b"hello") + masked(BINARY, b"\1\2"))
        wait_until(lambda: len(handler.told) == 3)
        assert handler.told == [("taken",), ("message", "hello"), ("message", b"\1\2")]
        handler.do(lambda sink: sink.write(sink.framing(b'{"seat":12}')))
        assert client.frame() == (TEXT, b'{"seat":12}')


def test_a_handler_may_want_smaller_messages_than_the_server_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Recorder, "max_message_bytes", 1000, raising=False)
    app = TakingApp()
    with serving(app) as server, server.connect() as client:
        client.upgrade()
        client.send(masked(TEXT, b"x" * 1000))
        handler = app.handler
        wait_until(lambda: ("message", "x" * 1000) in handler.told)
        client.send(masked(TEXT, b"x" * 1001))
        opcode, payload = client.frame()
    assert (opcode, payload[:2]) == (CLOSE, (1009).to_bytes(2, "big"))


def test_messages_before_the_handoff_follow_it_in_order() -> None:
    wait = threading.Event()
    app = TakingApp(wait=wait)
    with serving(app) as server, server.connect() as client:
        client.send(upgrade_request() + b"".join(masked(TEXT, b"%d" % n) for n in range(5)))
        client.receive_until(b"\r\n\r\n")
        wait.set()
        handler = app.handler
        client.send(masked(TEXT, b"5"))
        wait_until(lambda: len(handler.told) == 7)
    assert handler.told[:7] == [("taken",), *(("message", str(n)) for n in range(6))]


def test_messages_and_a_close_before_the_handoff() -> None:
    """The application takes a connection whose peer has spoken and gone meanwhile."""
    raised = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        closed = False
        while not closed:
            await asyncio.sleep(0.01)
            try:
                await send({"type": "websocket.send", "text": "there?"})
            except OSError:
                closed = True
        with pytest.raises(OSError, match="disconnected"):
            scope["extensions"]["seaway.handoff"]["take"](Recorder())
        raised.set()

    with serving(app) as server:
        with server.connect() as client:
            client.send(upgrade_request() + masked(TEXT, b"last words") + masked(CLOSE))
            client.receive_until(b"\r\n\r\n")
        assert raised.wait(20)


def test_a_crowded_connection_is_read_again_after_the_handoff() -> None:
    wait = threading.Event()
    app = TakingApp(wait=wait)
    with serving(app, body_buffer=1000) as server, server.connect() as client:
        client.upgrade()
        client.send(b"".join(masked(TEXT, b"x" * 100) for _ in range(5000)))
        wait.set()
        handler = app.handler
        wait_until(lambda: len(handler.told) == 5001)


@pytest.mark.parametrize(
    ("frame", "seen"),
    [
        (masked(CLOSE, (4000).to_bytes(2, "big") + b"why"), ("close", 4000, "why")),
        (masked(CLOSE), ("close", 1005, "")),
        (b"", ("close", 1006, "")),
    ],
)
def test_on_close_comes_exactly_once_with_the_peers_code(frame: bytes, seen: Any) -> None:
    app = TakingApp()
    with serving(app) as server:
        with server.connect() as client:
            client.upgrade()
            handler = app.handler
            client.send(frame)
            if frame:
                client.receive_all()
        wait_until(lambda: len(handler.told) > 1)
        assert (
            handler.do(lambda sink: (sink.write(b"x"), sink.close(1000), sink.writable))[2] is False
        )
    assert handler.told == [("taken",), seen]


def test_our_close_waits_for_the_peers() -> None:
    app = TakingApp()
    with serving(app) as server, server.connect() as client:
        client.upgrade()
        handler = app.handler
        handler.do(lambda sink: (sink.close(4000, "slow"), sink.close(4001), sink.write(b"late")))
        assert client.frame() == (CLOSE, (4000).to_bytes(2, "big") + b"slow")
        assert handler.told == [("taken",)]
        client.send(masked(TEXT, b"ignored") + masked(CLOSE, (4000).to_bytes(2, "big")))
        assert client.receive_all() == b""
        wait_until(lambda: len(handler.told) > 1)
    assert handler.told == [("taken",), ("close", 4000, "")]


@pytest.mark.parametrize("where", ["message", "writable"])
def test_an_exception_in_a_handler_closes_with_1011(where: str, log: CapturedLog) -> None:
    app = TakingApp(fails_on=where)
    with serving(app, write_buffer=1000) as server, server.connect() as client:
        client.upgrade()
        handler = app.handler
        if where == "writable":
            fill(handler)
        else:
            client.send(masked(TEXT, b"x"))
        while (frame := client.frame())[0] != CLOSE:
            pass
        assert frame == (CLOSE, (1011).to_bytes(2, "big"))
        client.send(masked(CLOSE, (1011).to_bytes(2, "big")))
        wait_until(lambda: handler.told[-1] == ("close", 1011, ""))
    assert log.events.count("websocket_handler_failed") == 1


def test_an_exception_in_on_close_is_logged(log: CapturedLog) -> None:
    app = TakingApp(fails_on="close")
    with serving(app) as server:
        with server.connect() as client:
            client.upgrade()
            wait_until(lambda: app.handlers)
        wait_until(lambda: "websocket_handler_failed" in log.events)


def fill(handler: Recorder) -> int:
    """Write until the sink is not writable; how many frames that took."""

    def write(sink: Sink) -> int:
        frame = sink.framing(b"x" * 10_000)
        count = 0
        while sink.writable:
            sink.write(frame)
            count += 1
        return count

    count: int = handler.do(write)
    return count


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_client_that_never_reads_and_then_does(loop: str) -> None:
    app = TakingApp()
    with serving(app, loop=loop) as server, server.connect(receive_buffer=32768) as client:
        client.upgrade()
        handler = app.handler
        count = fill(handler)
        handler.do(lambda sink: sink.write(sink.framing(b"after")))
        assert handler.do(lambda sink: sink.writable) is False
        assert handler.told == [("taken",)]
        for _ in range(count):
            assert client.frame() == (TEXT, b"x" * 10_000)
        assert client.frame() == (TEXT, b"after")
        wait_until(lambda: handler.told[1:] == [("writable",)])
        assert handler.do(lambda sink: sink.writable) is True
        # Straight to the socket again, and still in order with the answer to a ping.
        handler.do(lambda sink: sink.write(sink.framing(b"again")))
        assert client.frame() == (TEXT, b"again")


def test_reading_can_be_paused() -> None:
    app = TakingApp()
    with serving(app) as server, server.connect() as client:
        client.upgrade()
        handler = app.handler
        handler.do(lambda sink: sink.pause_reading())
        client.send(masked(TEXT, b"waits"))
        client.request  # noqa: B018 - nothing to wait for: the next line goes round the loop
        assert handler.do(lambda sink: list(handler.told)) == [("taken",)]
        handler.do(lambda sink: sink.resume_reading())
        wait_until(lambda: handler.told[1:] == [("message", "waits")])


def test_a_peer_that_resets_is_noticed_by_a_write() -> None:
    import socket
    import struct

    app = TakingApp()
    with serving(app) as server:
        client = server.connect()
        client.upgrade()
        handler = app.handler
        handler.do(lambda sink: sink.pause_reading())
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()
        wait_until(
            lambda: (
                handler.do(lambda sink: sink.write(sink.framing(b"x"))),
                handler.told[-1] == ("close", 1006, ""),
            )[1]
        )
    assert handler.told == [("taken",), ("close", 1006, "")]


def test_an_idle_connection_keeps_no_task_and_no_scope() -> None:
    ours = {HttpConnection, HttpStream, WebSocketStream, Http1Connection, Gate}
    gc.collect()
    # Kept, so that no newcomer has the id of one of these.
    before = [thing for thing in gc.get_objects() if type(thing) in ours]
    known = {id(thing) for thing in before}
    app = TakingApp()
    with serving(app) as server, server.connect() as client:
        client.upgrade()
        handler = app.handler

        def remains(_sink: Sink) -> tuple[int, list[str]]:
            gc.collect()
            kinds = [type(thing) for thing in gc.get_objects() if id(thing) not in known]
            # The two tasks are the server's own and the one that runs this.
            return len(asyncio.all_tasks()), [kind.__name__ for kind in kinds if kind in ours]

        assert handler.do(remains) == (2, [])
