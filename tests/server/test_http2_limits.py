"""HTTP/2 and clients that are slow, silent, gone or hostile: who waits for whom, and how long."""

import asyncio
import threading
from typing import Any

from compliance.http2_frames import (
    CANCEL,
    DATA,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    GET,
    GOAWAY,
    HEADERS,
    NO_ERROR,
    POST,
    PREFACE,
    RST_STREAM,
    block,
    data,
    frame,
    headers,
    rst_stream,
)

from tests.server.applications import hello, mirror, read_body
from tests.server.harness import serving, wait_until
from tests.server.http2_client import Http2Client

MIB = 1024 * 1024


WINDOW = 65_535


# Flow control ------------------------------------------------------------------------------------


def test_an_upload_waits_for_the_application() -> None:
    reads = threading.Event()
    done = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(None, reads.wait)
        body = await read_body(receive)
        done.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % len(body)})

    with serving(app) as server, Http2Client(server) as client:
        client.settle()
        client.send(headers(1, POST, end=False), *(data(1, bytes(13_107)) for _ in range(5)))
        before = client.settle()
        assert not [each for each in before if each.kind == 8], "windows opened unread"
        reads.set()
        assert client.frame(8, 1).stream == 1
        client.send(*(data(1, bytes(13_107)) for _ in range(4)), data(1, b"end", end=True))
        assert client.peer.response(1)[1] == b"%d" % (9 * 13_107 + 3)
    assert done.is_set()


def test_one_upload_that_waits_leaves_room_for_others() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            await asyncio.sleep(3600)
        await mirror(scope, receive, send)

    with serving(app, drain_timeout=0.0) as server, Http2Client(server) as client:
        client.send(
            headers(1, ((":path", "/wait"), *(f for f in POST if f[0] != ":path")), end=False),
            *(data(1, bytes(13_107)) for _ in range(5)),
            headers(3, POST, end=False),
            data(3, b"through", end=True),
        )
        assert client.peer.response(3) == ("200", b"through")


class Pourer:
    """Sends without end, and counts what was taken from it."""

    def __init__(self) -> None:
        self.sent = 0
        self.ended: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            for _ in range(10_000):
                await send({"type": "http.response.body", "body": bytes(16_000), "more_body": True})
                self.sent += 16_000
        except OSError as error:
            self.ended.append(type(error).__name__)
            raise


def test_a_download_waits_for_the_client() -> None:
    app = Pourer()
    with serving(app, drain_timeout=0.0) as server, Http2Client(server) as client:
        client.send(headers(1))
        got = sum(len(each.payload) for each in client.settle() if each.kind == DATA)
        while got < WINDOW:
            got += len(client.frame(DATA).payload)
        client.settle()
        held = app.sent
        assert held <= WINDOW + 64 * 1024 + 2 * 16_000
        client.open_window(100_000, 0, 1)
        wait_until(lambda: app.sent > held)


def test_a_window_that_stays_closed_is_given_up() -> None:
    app = Pourer()
    with serving(app, idle_timeout=0.3) as server, Http2Client(server, (4, 0)) as client:
        client.send(headers(1))
        assert client.frame(RST_STREAM, 1).code == CANCEL
        wait_until(lambda: app.ended == ["ClientDisconnected"])
        assert client.settle()


def test_a_client_that_never_reads_does_not_fill_the_memory() -> None:
    app = Pourer()
    with serving(app, idle_timeout=1.0) as server:
        client = Http2Client(server, (4, 2**31 - 1), client=server.connect(receive_buffer=4096))
        with client:
            client.open_window(2**31 - 1 - WINDOW, 0)
            client.send(headers(1))
            wait_until(lambda: app.ended == ["ClientDisconnected"])
    assert app.sent < 8 * MIB


def test_a_body_that_stalls() -> None:
    with serving(mirror, body_timeout=0.3) as server, Http2Client(server) as client:
        client.send(headers(1, POST, end=False), data(1, b"half"))
        assert client.head()[":status"] == "408"


def test_a_body_that_nobody_wants() -> None:
    with serving(hello) as server, Http2Client(server) as client:
        client.send(headers(1, POST, end=False))
        assert client.peer.response(1) == ("200", b"hello")
        client.send(*(data(1, bytes(13_107)) for _ in range(4)))
        assert client.frame(RST_STREAM, 1).code == NO_ERROR
        assert client.get("/", 3) == ("200", b"hello")


def test_a_request_that_is_given_up() -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.append("started")
        await receive()
        told.append((await receive())["type"])

    with serving(app) as server, Http2Client(server) as client:
        client.send(headers(1))
        wait_until(lambda: told)
        client.send(rst_stream(1))
        wait_until(lambda: told == ["started", "http.disconnect"])


def test_a_lost_connection_ends_all_its_requests() -> None:
    gone: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        gone.append((await receive())["type"])

    with serving(app) as server:
        with Http2Client(server) as client:
            client.send(headers(1), headers(3))
            client.settle()
        wait_until(lambda: gone == ["http.disconnect"] * 2)


# Limits ------------------------------------------------------------------------------------------


def test_given_up_requests_whose_applications_run_on_are_limited() -> None:
    running = 0
    let_go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal running
        running += 1
        await let_go.wait()
        await hello(scope, receive, send)

    with serving(app, max_streams=10, drain_timeout=0.0) as server, Http2Client(server) as client:
        for stream in range(1, 201, 2):
            client.send(headers(stream), rst_stream(stream))
        wait_until(lambda: running > 10)
        # One read of the socket may hold more than are allowed; what comes later is not read.
        before = running
        client.send(headers(2001))
        assert running == before
        assert running <= 100


def test_a_flood_ends_the_connection() -> None:
    with serving(hello) as server, Http2Client(server) as client:
        client.send(*(headers(n) + rst_stream(n) for n in range(1, 1001, 2)))
        assert client.frame(GOAWAY).code == ENHANCE_YOUR_CALM


def test_a_header_block_without_end() -> None:
    with serving(hello, header_timeout=0.3) as server, Http2Client(server) as client:
        client.send(frame(HEADERS, END_STREAM, 1, block(GET)))
        while client.peer.next() is not None:
            pass
        assert client.peer.closed


def test_a_frame_that_is_never_complete() -> None:
    with serving(mirror, idle_timeout=0.3) as server, Http2Client(server) as client:
        client.send(headers(1, POST, end=False), data(1, bytes(1000))[:500])
        while client.peer.next() is not None:
            pass
        assert client.peer.closed


def test_a_preface_without_settings() -> None:
    with serving(hello, header_timeout=0.3) as server, server.connect() as client:
        client.send(PREFACE)
        client.receive_all()


def test_an_idle_connection() -> None:
    with serving(hello, idle_timeout=0.3) as server, Http2Client(server) as client:
        client.get()
        assert client.frame(GOAWAY).code == NO_ERROR
        while client.peer.next() is not None:
            pass
        assert client.peer.closed
