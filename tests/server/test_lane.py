"""Fan-out to real connections: the same bytes in the same order, whichever way they are written."""

import asyncio
import contextlib
import os
import resource
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from seaway.layers.base import Headcount, History, PresenceChange, Publication
from seaway.layers.hub import Hub
from seaway.layers.memory.layer import MemoryLayer
from seaway.layers.memory.store import Store
from seaway.layers.stream import Subscription
from seaway.server import ring
from seaway.server.lane import SMALLEST
from seaway.server.ring import CAPACITY, Ring, RingUnavailable
from tests.server.harness import CLOSE, CapturedLog, Client, serving, wait_until

TOPIC = "halls/1"
KEPT = History(size=10_000, seconds=600)
MANY = 2 * SMALLEST


class Member:
    """A handler that follows the topic, as `seaway.connections` does."""

    def __init__(self, crowd: "Crowd", port: int) -> None:
        self.crowd = crowd
        self.port = port
        self.sink: Any = None
        self.subscription: Subscription | None = None
        self.closed = False

    def on_message(self, data: str | bytes) -> None:
        """Nobody says anything."""

    def on_writable(self) -> None:
        if self.subscription is not None:
            self.crowd.hub.catch_up(self.subscription)

    def on_close(self, code: int, reason: str) -> None:
        self.closed = True
        if self.subscription is not None:
            self.crowd.hub.unsubscribe(self.subscription)

    # An encoding: everybody's messages are framed alike.

    def __hash__(self) -> int:
        return hash(self.sink.framing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Member) and other.sink.framing is self.sink.framing

    def event(self, topic: str, publication: Publication) -> bytes:
        framed: bytes = self.sink.framing(publication.data)
        return framed

    def gap(self, topic: str) -> bytes:
        raise AssertionError("nothing may be missed")

    def presence(self, topic: str, change: PresenceChange) -> bytes:
        raise AssertionError("nobody enters")

    def members(self, topic: str, members: Sequence[bytes]) -> bytes:
        raise AssertionError("nobody enters")

    def headcount(self, topic: str, count: Headcount) -> bytes:
        raise AssertionError("nobody enters")


class Crowd:
    """The application: a hub on the server's loop, and everybody who is connected."""

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.hub: Hub
        self.layer: MemoryLayer
        self.loop: asyncio.AbstractEventLoop
        self.clients: list[Client] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            async with self._living():
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await receive()
        await send({"type": "websocket.accept"})
        member = Member(self, scope["client"][1])
        member.sink = scope["extensions"]["seaway.handoff"]["take"](member)
        member.subscription = await self.hub.subscribe(TOPIC, member.sink, member, replayable=True)
        self.hub.activate(member.subscription)
        self.members.append(member)

    @contextlib.asynccontextmanager
    async def _living(self) -> AsyncIterator[None]:
        self.loop = asyncio.get_running_loop()
        self.layer = MemoryLayer(Store())
        self.hub = Hub(self.layer)
        await self.layer.start(self.hub)
        yield
        await self.hub.close()
        await self.layer.close()

    def publish(self, *events: bytes) -> None:
        """One after the other, each delivered before the next, as far as clients take it."""

        async def run() -> None:
            for event in events:
                await self.layer.publish(TOPIC, event, KEPT)
                stream = self.hub._streams[TOPIC]
                while stream.flushed != stream.received:  # noqa: ASYNC110  as others see it
                    await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)

    def do(self, action: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return action()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(30)

    @property
    def batches(self) -> bool:
        """Whether anything was written in a batch."""
        return any(member.sink.lane._ring is not None for member in self.members)


def needs_io_uring() -> None:
    try:
        Ring().close()
    except RingUnavailable as error:
        pytest.skip(f"the kernel refuses io_uring here: {error}")


@pytest.fixture(params=["auto", "off", "refused"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How events are written: in batches, one by one, or one by one because the kernel refuses."""
    name: str = request.param
    if name == "auto":
        needs_io_uring()
    if name == "refused":
        monkeypatch.setattr(ring, "_IO_URING_SETUP", -1)
    return name


@contextlib.contextmanager
def crowd_of(number: int, way: str, **options: Any) -> Iterator[Crowd]:
    """So many clients that follow the topic."""
    pytest.importorskip("uvloop")
    crowd = Crowd()
    kind = "off" if way == "off" else "auto"
    with (
        serving(crowd, batch_writes=kind, lifespan="on", loop="uvloop", **options) as server,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(number):
            client = stack.enter_context(server.connect(receive_buffer=32768))
            client.upgrade()
            crowd.clients.append(client)
        wait_until(lambda: len(crowd.members) == number)
        ports = [client.socket.getsockname()[1] for client in crowd.clients]
        crowd.members.sort(key=lambda member: ports.index(member.port))
        yield crowd
        if number >= SMALLEST and way != "broken":
            assert crowd.batches is (way == "auto")


def heard(client: Client, number: int) -> list[bytes]:
    return [client.frame()[1] for _ in range(number)]


def test_everybody_gets_every_event_in_order(way: str) -> None:
    events = [b"event %d" % number for number in range(50)]
    with crowd_of(MANY, way) as crowd:
        crowd.publish(*events)
        assert all(heard(client, 50) == events for client in crowd.clients)


def test_few_are_written_to_one_by_one() -> None:
    with crowd_of(SMALLEST - 1, "auto") as crowd:
        crowd.publish(b"a", b"b")
        assert all(heard(client, 2) == [b"a", b"b"] for client in crowd.clients)
        assert not crowd.batches


def test_events_keep_their_order_with_what_else_is_written(way: str) -> None:
    def answer(number: int) -> None:
        for member in crowd.members[::2]:
            member.sink.write(member.sink.framing(b"answer %d" % number))

    expected = [b"%b %d" % (kind, number) for number in range(20) for kind in (b"event", b"answer")]
    with crowd_of(MANY, way) as crowd:
        for number in range(20):
            crowd.publish(b"event %d" % number)
            crowd.do(lambda n=number: answer(n))  # type: ignore[misc]
        assert all(heard(client, 40) == expected for client in crowd.clients[::2])
        assert all(heard(client, 20) == expected[::2] for client in crowd.clients[1::2])


def test_clients_that_do_not_read_for_a_while_lack_nothing_in_the_end(way: str) -> None:
    """Their sockets fill in the middle of a frame; the rest and what follows comes in order."""
    events = [b"%04d" % number + b"x" * 40_000 for number in range(150)]
    with crowd_of(MANY, way) as crowd:
        slow, quick = crowd.clients[::8], [c for i, c in enumerate(crowd.clients) if i % 8]
        for event in events:
            crowd.publish(event)
            assert all(client.frame()[1] == event for client in quick)
        stuck = [not member.sink.writable for member in crowd.members]
        assert stuck == [index % 8 == 0 for index in range(MANY)]
        for client in slow:
            assert heard(client, len(events)) == events
        wait_until(lambda: all(member.sink.writable for member in crowd.members))
        crowd.publish(b"together again")
        assert all(client.frame()[1] == b"together again" for client in crowd.clients)


def test_a_peer_that_is_gone_does_not_hinder_the_others(way: str) -> None:
    with crowd_of(MANY, way) as crowd:
        crowd.publish(b"a")
        crowd.do(lambda: [member.sink.pause_reading() for member in crowd.members])
        for client in crowd.clients[:5]:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.socket.close()
        crowd.publish(b"b", b"c")
        assert all(heard(client, 3) == [b"a", b"b", b"c"] for client in crowd.clients[5:])
        wait_until(lambda: [member.closed for member in crowd.members].count(True) == 5)
        assert all(member.closed for member in crowd.members[:5])


def test_nothing_follows_our_own_close(way: str) -> None:
    with crowd_of(MANY, way) as crowd:
        crowd.publish(b"a")
        crowd.do(lambda: [member.sink.close(4000) for member in crowd.members[:5]])
        crowd.publish(b"b")
        assert all(heard(client, 2) == [b"a", b"b"] for client in crowd.clients[5:])
        for client in crowd.clients[:5]:
            assert heard(client, 1) == [b"a"]
            assert client.frame() == (CLOSE, (4000).to_bytes(2, "big"))
            client.socket.shutdown(socket.SHUT_WR)
            assert client.receive_all() == b""


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_frames_around_the_longest_of_a_batch(way: str, over: int) -> None:
    event = b"x" * (CAPACITY + over - 4)  # with the four bytes of a frame's head of this size
    with crowd_of(MANY, way) as crowd:
        crowd.publish(b"short", event, b"short again")
        for client in crowd.clients:
            assert heard(client, 3) == [b"short", event, b"short again"]


def test_thousands_of_connections(way: str) -> None:
    number = 1500
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * number + 500:
        pytest.skip(f"this process may open only {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * number + 500), hard))
    try:
        with crowd_of(number, way) as crowd:
            crowd.publish(b"a", b"b", b"c")
            assert all(heard(client, 3) == [b"a", b"b", b"c"] for client in crowd.clients)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_ring_that_fails_later_is_given_up_without_a_loss(log: CapturedLog) -> None:
    needs_io_uring()
    with crowd_of(MANY, "broken") as crowd, Path(os.devnull).open("rb") as nothing:
        crowd.publish(b"a")
        lane = crowd.members[0].sink.lane
        os.dup2(nothing.fileno(), lane._ring._fd)
        crowd.publish(b"b", b"c")
        assert all(heard(client, 3) == [b"a", b"b", b"c"] for client in crowd.clients)
        assert lane._ring is None
        assert log.events.count("batch_writes_unavailable") == 1
