"""WebSocket over HTTP/2 (RFC 8441): the same stream and the same sink, inside DATA frames."""

import asyncio
import json
import threading
import zlib
from typing import Any

import pytest
from compliance.http2_frames import CANCEL, DATA, GOAWAY, RST_STREAM, data, headers, rst_stream

from seaway.exceptions import CloseCode
from seaway.server.handoff import Sink
from tests.server.applications import websocket_echo
from tests.server.harness import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    CapturedLog,
    masked,
    serving,
    wait_until,
)
from tests.server.http2_client import WEBSOCKET, Http2Client

WINDOW = 65_535


class Handler:
    """Takes its connection over and notes what it is told."""

    def __init__(self) -> None:
        self.sink: Sink
        self.loop = asyncio.get_running_loop()
        self.told: list[Any] = []

    def on_message(self, data: str | bytes) -> None:
        self.told.append(data)

    def on_writable(self) -> None:
        self.told.append("writable")

    def on_close(self, code: int, reason: str) -> None:
        self.told.append(("close", code))

    def do(self, action: Any) -> Any:
        """Run ``action(sink)`` on the server's loop."""

        async def run() -> Any:
            return action(self.sink)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20)


class TakingApp:
    """Accepts and takes over, one handler each."""

    def __init__(self) -> None:
        self.handlers: list[Handler] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        handler = Handler()
        handler.sink = scope["extensions"]["seaway.handoff"]["take"](handler)
        self.handlers.append(handler)

    def handler(self, number: int = 0) -> Handler:
        wait_until(lambda: len(self.handlers) > number)
        return self.handlers[number]


def test_messages_both_ways() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await websocket_echo(scope, receive, send)

    with serving(app) as server, Http2Client(server) as client:
        head = client.websocket(1, ("sec-websocket-protocol", "a, b"), ("x", "y"))
        assert head[":status"] == "200"
        assert "sec-websocket-accept" not in head
        client.say(TEXT, "héllo".encode())
        assert client.hear() == (TEXT, "héllo".encode())
        client.say(BINARY, b"\0\1")
        assert client.hear() == (BINARY, b"\0\1")
        client.say(PING, b"p")
        assert client.hear() == (PONG, b"p")
    scope = scopes[0]
    assert (scope["type"], scope["http_version"], scope["scheme"]) == ("websocket", "2", "ws")
    assert (scope["path"], scope["query_string"]) == ("/ws", b"a=b")
    assert scope["subprotocols"] == ["a", "b"]
    assert scope["headers"][0] == (b"host", b"localhost")
    assert "websocket.http.response" in scope["extensions"]


def test_many_on_one_connection() -> None:
    with serving(websocket_echo) as server, Http2Client(server) as client:
        streams = range(1, 101, 2)
        for stream in streams:
            assert client.websocket(stream)[":status"] == "200"
        for stream in streams:
            client.say(TEXT, b"%d" % stream, stream)
            assert client.hear(stream) == (TEXT, b"%d" % stream)
        assert client.get("/", 101)[0] == "500"


def test_a_frame_in_pieces_and_pieces_of_several_frames() -> None:
    with serving(websocket_echo) as server, Http2Client(server) as client:
        client.websocket()
        wire = masked(TEXT, b"one") + masked(TEXT, b"two" * 200)
        for start in range(0, len(wire), 7):
            client.send(data(1, wire[start : start + 7]))
        assert client.hear() == (TEXT, b"one")
        assert client.hear() == (TEXT, b"two" * 200)


def test_what_is_sent_before_the_answer_is_kept() -> None:
    let_go = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(None, let_go.wait)
        await websocket_echo(scope, receive, send)

    with serving(app) as server, Http2Client(server) as client:
        client.send(headers(1, WEBSOCKET, end=False), data(1, masked(TEXT, b"early")))
        client.settle()
        let_go.set()
        assert client.hear() == (TEXT, b"early")


def test_compression() -> None:
    with serving(websocket_echo) as server, Http2Client(server) as client:
        head = client.websocket(1, ("sec-websocket-extensions", "permessage-deflate"))
        assert head["sec-websocket-extensions"].startswith("permessage-deflate")
        client.say(TEXT, b"a" * 1000)
        packed = client.hear()[1]
        assert zlib.decompressobj(-15).decompress(packed + b"\0\0\xff\xff") == b"a" * 1000


def test_the_client_closes(log: CapturedLog) -> None:
    ends: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        ends.append(await receive())

    with serving(app, access_log=True) as server, Http2Client(server) as client:
        client.websocket()
        client.say(CLOSE, (4321).to_bytes(2, "big") + b"bye")
        last = client.frame(DATA)
        assert last.payload == b"\x88\x02" + (4321).to_bytes(2, "big")
        assert last.ended
        client.send(data(1, end=True))
        wait_until(lambda: ends)
        assert ends[0] == {"type": "websocket.disconnect", "code": 4321, "reason": "bye"}
        wait_until(lambda: "websocket" in log.events)
        # The connection goes on.
        assert client.websocket(3)[":status"] == "200"
    record = next(each for each in log.records if getattr(each, "event", "") == "websocket")
    assert record.__dict__["fields"]["code"] == 4321


def test_the_server_closes() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000, "reason": "enough"})

    with serving(app) as server, Http2Client(server) as client:
        client.websocket()
        assert client.hear() == (CLOSE, (4000).to_bytes(2, "big") + b"enough")
        client.say(CLOSE, (4000).to_bytes(2, "big"))
        assert client.peer.until(lambda each: each.stream == 1 and each.ended)


@pytest.mark.parametrize("goodbye", [rst_stream(1, CANCEL), data(1, end=True)])
def test_a_stream_that_ends_without_a_close_frame(goodbye: bytes) -> None:
    app = TakingApp()
    with serving(app) as server, Http2Client(server) as client:
        client.websocket()
        handler = app.handler()
        client.send(goodbye)
        wait_until(lambda: handler.told == [("close", CloseCode.ABNORMAL)])


def test_a_lost_connection() -> None:
    app = TakingApp()
    with serving(app) as server:
        with Http2Client(server) as client:
            client.websocket(1)
            client.websocket(3)
            handlers = [app.handler(0), app.handler(1)]
        wait_until(lambda: all(each.told == [("close", 1006)] for each in handlers))
        wait_until(lambda: not handlers[0].do(lambda sink: sink._context.open))


def test_refusals(log: CapturedLog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["path"] == "/deny":
            fields = [(b"content-type", b"text/plain")]
            await send({"type": "websocket.http.response.start", "status": 401, "headers": fields})
            await send({"type": "websocket.http.response.body", "body": b"who are you?"})
        elif scope["path"] == "/close":
            await send({"type": "websocket.close"})
        else:
            raise ValueError("broken")

    def ask(client: Http2Client, stream: int, path: str) -> tuple[str, bytes]:
        fields = tuple((name, path if name == ":path" else value) for name, value in WEBSOCKET)
        client.send(headers(stream, fields, end=False))
        found = client.peer.response(stream)
        # The rest of what the client might send is not wanted.
        assert client.frame(RST_STREAM, stream).code == 0
        return found

    with serving(app) as server, Http2Client(server) as client:
        assert ask(client, 1, "/deny") == ("401", b"who are you?")
        assert ask(client, 3, "/close")[0] == "403"
        assert ask(client, 5, "/broken")[0] == "500"
        client.send(headers(7, WEBSOCKET[:-1], end=False))
        assert client.head(7)["sec-websocket-version"] == "13"
        assert client.settle()


def test_another_protocol_is_not_spoken() -> None:
    with serving(websocket_echo) as server, Http2Client(server) as client:
        fields = tuple((n, "connect-udp" if n == ":protocol" else v) for n, v in WEBSOCKET)
        client.send(headers(1, fields, end=False))
        assert client.head()[":status"] == "501"


# The handoff -------------------------------------------------------------------------------------


def test_the_handoff_writes_shared_frames() -> None:
    app = TakingApp()
    with serving(app) as server, Http2Client(server) as client:
        client.websocket(1)
        client.websocket(3)
        first, second = app.handler(0), app.handler(1)
        frame = first.do(lambda sink: sink.framing(b"shared"))
        for handler in (first, second):
            handler.do(lambda sink: sink.write(frame))
        assert client.hear(1) == client.hear(3) == (TEXT, b"shared")
        client.say(TEXT, b"back", 3)
        wait_until(lambda: second.told == ["back"])


def test_an_exhausted_window_makes_the_sink_unwritable() -> None:
    app = TakingApp()
    with serving(app) as server, Http2Client(server) as client:
        client.websocket()
        handler = app.handler()

        def fill(sink: Sink) -> int:
            written = 0
            while sink.writable and written < 10_000_000:
                sink.write(sink.framing(bytes(1000)))
                written += 1000
            return written

        written = handler.do(fill)
        assert written <= WINDOW + 64 * 1024 + 10_000
        wait_until(lambda: handler.do(fill) or not handler.do(lambda sink: sink.writable))
        while handler.do(fill):
            pass
        told = len(handler.told)
        client.settle()
        assert not handler.do(lambda sink: sink.writable)
        client.open_window(10_000_000, 0, 1)
        wait_until(lambda: "writable" in handler.told[told:])
        assert handler.do(lambda sink: sink.writable)


def test_a_paused_sink_leaves_its_messages_to_the_window() -> None:
    app = TakingApp()
    with serving(app) as server, Http2Client(server) as client:
        client.websocket()
        handler = app.handler()
        handler.do(lambda sink: sink.pause_reading())
        client.settle()
        for _ in range(6):
            client.say(BINARY, bytes(10_000))
        seen = client.settle()
        assert not [each for each in seen if each.kind == 8 and each.stream == 1]
        assert handler.told == []
        handler.do(lambda sink: sink.resume_reading())
        wait_until(lambda: handler.told == [bytes(10_000)] * 6)
        assert client.frame(8, 1)


def test_pings_keep_it_alive_and_silence_ends_it() -> None:
    app = TakingApp()
    options = {"ping_interval": 0.1, "ping_misses": 2, "close_timeout": 0.2, "idle_timeout": 60.0}
    with serving(app, **options) as server, Http2Client(server) as client:
        client.websocket()
        handler = app.handler()
        for _ in range(4):
            assert client.hear() == (PING, b"")
            client.say(PONG)
        while (heard := client.hear())[0] == PING:
            pass
        assert heard == (CLOSE, (4001).to_bytes(2, "big") + b"pings unanswered")
        wait_until(lambda: handler.told)


def test_a_stop_asks_clients_to_come_back() -> None:
    app = TakingApp()
    with serving(app) as server, Http2Client(server) as client:
        client.websocket()
        app.handler()
        server.runner.stop()
        found = client.peer.until(lambda each: each.kind == DATA)
        assert GOAWAY in [each.kind for each in found] or found[-1].payload[0] == 0x88
        assert found[-1].payload[2:4] == (1012).to_bytes(2, "big")
        client.say(CLOSE, (1012).to_bytes(2, "big"))
        client.send(data(1, end=True))
        while client.peer.next() is not None:
            pass
        assert client.peer.closed


def test_a_protocol_violation() -> None:
    app = TakingApp()
    with serving(app, close_timeout=0.2) as server, Http2Client(server) as client:
        client.websocket()
        client.send(data(1, b"\x81\x05hello"))
        assert client.hear()[1][:2] == (1002).to_bytes(2, "big")
        handler = app.handler()
        wait_until(lambda: handler.told == [("close", 1006)])


def test_json_messages_are_delivered_in_order() -> None:
    with serving(websocket_echo) as server, Http2Client(server) as client:
        client.websocket()
        client.send(*(data(1, masked(TEXT, json.dumps(n).encode())) for n in range(500)))
        assert [json.loads(client.hear()[1]) for _ in range(500)] == list(range(500))
