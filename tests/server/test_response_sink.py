"""The handoff of a streamed response: no task while it is open, and the end of either side."""

import asyncio
import socket
from typing import Any

import pytest

from seaway.exceptions import CloseCode
from seaway.server.handoff import Sink
from tests.server.harness import CapturedLog, serving, wait_until


def framing(message: bytes) -> bytes:
    return b"<" + message + b">"


def farewell(code: int, reason: str) -> bytes:
    return b"bye %d %b" % (code, reason.encode())


class Reader:
    """A handler that notes what it is told."""

    def __init__(self) -> None:
        self.sink: Sink
        self.loop = asyncio.get_running_loop()
        self.told: list[Any] = []
        self.fails = False

    def on_message(self, data: str | bytes) -> None:
        raise AssertionError("there is no way up")

    def on_writable(self) -> None:
        self.told.append("writable")
        if self.fails:
            raise RuntimeError("failing")

    def on_close(self, code: int, reason: str) -> None:
        self.told.append((code, reason))

    def do(self, action: Any) -> Any:
        async def run() -> Any:
            return action(self.sink)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20)


class StreamingApp:
    """Hands every response over."""

    def __init__(self, headers: Any = ()) -> None:
        self.readers: list[Reader] = []
        self.headers = headers
        self.errors: list[BaseException] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        take = scope["extensions"]["seaway.handoff"]["take"]
        reader = Reader()
        with pytest.raises(RuntimeError, match="before the response"):
            take(reader, framing, farewell)
        await send({"type": "http.response.start", "status": 200, "headers": list(self.headers)})
        try:
            reader.sink = take(reader, framing, farewell)
        except Exception as error:
            self.errors.append(error)
            raise
        with pytest.raises(RuntimeError, match="after the response"):
            take(reader, framing, farewell)
        self.readers.append(reader)

    @property
    def reader(self) -> Reader:
        wait_until(lambda: self.readers, "the handoff")
        return self.readers[0]


GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


def test_what_is_written_arrives_in_chunks_until_the_close() -> None:
    app = StreamingApp([(b"content-type", b"text/event-stream")])
    with serving(app) as server, server.connect() as client:
        client.send(GET)
        head = client.receive_until(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        assert b"connection: close" in head
        reader = app.reader
        reader.do(lambda sink: sink.write(sink.framing(b"one")))
        assert client.receive_until(b">\r\n") == b"5\r\n<one>\r\n"
        reader.do(lambda sink: sink.write(sink.framing(b"two") + sink.framing(b"three")))
        assert client.receive_until(b"e>\r\n") == b"5\r\n<two>\r\n7\r\n<three>\r\n"
        reader.do(lambda sink: sink.close(4000, "slow"))
        assert client.receive_all() == b"d\r\nbye 4000 slow\r\n0\r\n\r\n"
        wait_until(lambda: reader.told)
        assert reader.told == [(4000, "slow")]


def test_an_old_client_gets_the_bare_stream() -> None:
    app = StreamingApp()
    with serving(app) as server, server.connect() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        client.receive_until(b"\r\n\r\n")
        app.reader.do(lambda sink: sink.write(sink.framing(b"one")))
        app.reader.do(lambda sink: sink.close(1000))
        assert client.receive_all() == b"<one>bye 1000 "


def test_connections_share_one_framing() -> None:
    app = StreamingApp()
    with serving(app) as server, server.connect() as first, server.connect() as second:
        for client in (first, second):
            client.send(GET)
            client.receive_until(b"\r\n\r\n")
        wait_until(lambda: len(app.readers) == 2)
        assert app.readers[0].sink.framing is app.readers[1].sink.framing


def test_a_stream_has_no_task() -> None:
    app = StreamingApp()
    with serving(app) as server, server.connect() as client:
        client.send(GET)
        client.receive_until(b"\r\n\r\n")
        reader = app.reader
        tasks = wait_until(lambda: reader.do(lambda _: [t.get_name() for t in asyncio.all_tasks()]))
        assert not [name for name in tasks if "stream" in name.lower()]
        # The runner's own, and the one that counts.
        assert reader.do(lambda _: len(asyncio.all_tasks())) <= 3


def test_a_client_that_goes_is_told_of() -> None:
    app = StreamingApp()
    with serving(app) as server:
        with server.connect() as client:
            client.send(GET)
            client.receive_until(b"\r\n\r\n")
            reader = app.reader
        wait_until(lambda: reader.told)
        assert reader.told == [(int(CloseCode.ABNORMAL), "")]
        reader.do(lambda sink: sink.write(b"to nobody"))


def test_what_a_client_sends_behind_its_request_is_not_read() -> None:
    app = StreamingApp()
    with serving(app) as server, server.connect() as client:
        client.send(GET)
        client.receive_until(b"\r\n\r\n")
        client.send(GET * 3)
        app.reader.do(lambda sink: sink.write(sink.framing(b"still here")))
        client.receive_until(b"<still here>\r\n")
        assert len(app.readers) == 1


def test_a_slow_client_is_not_writable_until_it_has_read() -> None:
    app = StreamingApp()
    with serving(app) as server, server.connect(receive_buffer=4096) as client:
        client.send(GET)
        client.receive_until(b"\r\n\r\n")
        reader = app.reader

        def fill(sink: Sink) -> int:
            frame = sink.framing(b"x" * 65536)
            count = 0
            while sink.writable:
                sink.write(frame)
                count += 1
            return count

        written = reader.do(fill)
        assert reader.told == []
        client.receive_exactly(written * 65536)
        wait_until(lambda: reader.told)
        assert reader.told == ["writable"]
        assert reader.do(lambda sink: sink.writable)


def test_a_client_that_reads_nothing_is_dropped() -> None:
    app = StreamingApp()
    with (
        serving(app, idle_timeout=0.2) as server,
        server.connect(receive_buffer=4096) as client,
    ):
        client.send(GET)
        client.receive_until(b"\r\n\r\n")
        reader = app.reader
        frame = b"x" * 1_000_000
        reader.do(lambda sink: [sink.write(frame) for _ in range(20)])
        wait_until(lambda: reader.told)
        assert reader.told == [(int(CloseCode.ABNORMAL), "")]


def test_a_drain_ends_every_stream_in_words() -> None:
    app = StreamingApp()
    with serving(app) as server, server.connect() as client:
        client.send(GET)
        client.receive_until(b"\r\n\r\n")
        reader = app.reader
        server.runner.stop()
        assert b"bye 1012 service restart" in client.receive_all()
    assert reader.told == [(1012, "service restart")]


def test_a_failing_handler_costs_its_own_stream_only(log: CapturedLog) -> None:
    app = StreamingApp()
    with serving(app) as server, server.connect() as client:
        client.send(GET)
        client.receive_until(b"\r\n\r\n")
        reader = app.reader
        reader.fails = True
        reader.do(lambda sink: [sink.write(b"x" * 1_000_000) for _ in range(8)])
        assert client.receive_all().endswith(b"bye 1011 \r\n0\r\n\r\n")
        wait_until(lambda: len(reader.told) == 2)
    assert log.events == ["stream_handler_failed"]


def test_a_response_of_fixed_length_cannot_be_handed_over(log: CapturedLog) -> None:
    app = StreamingApp([(b"content-length", b"5")])
    with serving(app) as server, server.connect() as client:
        client.send(GET)
        client.receive_all()
    assert "length is fixed" in str(app.errors[0])
    assert log.events == ["application_failed"]


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
def test_the_kernel_drops_a_client_that_acknowledges_nothing() -> None:
    app = StreamingApp()
    with serving(app) as server, server.connect() as client:
        client.send(GET)
        client.receive_until(b"\r\n\r\n")

        def option(sink: Any) -> int:
            sock = sink._transport.get_extra_info("socket")
            return int(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))

        assert app.reader.do(option) == 45_000


def test_the_application_learns_of_a_drain() -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        scope["state"]["seaway.drain"] = [lambda: told.append("drain")]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        told.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})

    with serving(app, lifespan="on"):
        assert told == []
    assert told == ["drain", "shutdown"]
