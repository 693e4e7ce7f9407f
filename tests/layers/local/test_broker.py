"""The broker as its clients' bytes see it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seaway.layers.local import frames, queue_wire, wire
from seaway.layers.local.broker import Broker, main
from seaway.layers.local.clients import ANSWERS
from seaway.layers.local.launch import ensure_broker
from seaway.layers.local.place import Durable, Place, find_place
from seaway.layers.local.session import MAX_BUFFER, Session
from tests.layers.local.support import Raw


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = find_place("broker", tmp_path)
    ensure_broker(place, timeout=30, linger=2)
    return place


@pytest.fixture
async def raw(place: Place) -> AsyncIterator[Raw]:
    raw = await Raw.connect(place)
    yield raw
    await raw.close()


async def test_answers_come_in_the_order_of_the_requests(raw: Raw) -> None:
    raw.send(
        wire.Where(1, "t"), wire.Members(2, "t"), wire.Publish(3, "t", b"x", 0, 1.0), wire.Renew(4)
    )
    answers = [await raw.reply() for _ in range(4)]
    assert isinstance(answers[0], wire.At)
    assert answers[1] == wire.Present(2, {})
    assert answers[2] == wire.Placed(3, answers[0].epoch, 1, 1)
    assert answers[3] == wire.Renewed(4, True)


async def test_an_event_follows_the_answer_to_its_watch(raw: Raw) -> None:
    raw.send(wire.Watch(1, "t"), wire.Publish(2, "t", b"x", 0, 1.0))
    watched = await raw.reply()
    assert isinstance(watched, wire.At)
    assert await raw.reply() == wire.Published("t", watched.epoch, 1, [b"x"])
    assert await raw.reply() == wire.Placed(2, watched.epoch, 1, 1)


async def test_events_that_come_together_are_told_and_answered_together(
    place: Place, raw: Raw
) -> None:
    other = await Raw.connect(place)
    other.send(wire.Watch(1, "t"))
    watched = await other.reply()
    assert isinstance(watched, wire.At)
    raw.send(
        *(wire.Publish(n, "t", b"%d" % n, 0, 1.0) for n in (1, 2)),
        wire.Publish(3, "elsewhere", b"3", 0, 1.0),
        wire.Publish(4, "t", b"4", 0, 1.0),
        wire.Where(5, "t"),
        wire.Publish(6, "t", b"6", 0, 1.0),
    )
    epoch = watched.epoch
    assert [await raw.reply() for _ in range(5)] == [
        wire.Placed(1, epoch, 1, 2), wire.Placed(3, epoch, 1, 1), wire.Placed(4, epoch, 3, 1),
        wire.At(5, epoch, 3), wire.Placed(6, epoch, 4, 1),
    ]  # fmt: skip
    assert [await other.reply() for _ in range(3)] == [
        wire.Published("t", epoch, 1, [b"1", b"2"]),
        wire.Published("t", epoch, 3, [b"4"]),
        wire.Published("t", epoch, 4, [b"6"]),
    ]
    await other.close()


async def test_what_was_published_before_nonsense_is_told(place: Place, raw: Raw) -> None:
    raw.send(wire.Watch(1, "t"))
    watched = await raw.reply()
    assert isinstance(watched, wire.At)
    bad = await Raw.connect(place)
    bad.send(wire.Publish(1, "t", b"x", 0, 1.0), wire.Publish(2, "t", b"", -1, 1.0))
    assert await raw.reply() == wire.Published("t", watched.epoch, 1, [b"x"])
    assert await bad.hung_up()
    await bad.close()


async def test_members_leave_at_once_when_their_connection_is_lost(place: Place, raw: Raw) -> None:
    other = await Raw.connect(place, lease=3600)
    other.send(wire.Enter(1, "t", {"ann": b"A", "bob": b"B"}, {}))
    assert await other.reply() == wire.Done(1)
    raw.send(wire.Watch(1, "t"))
    await raw.reply()
    await other.close()
    assert await raw.reply() == wire.Changed("t", {}, ["ann", "bob"])


async def test_members_of_a_silent_client_leave_after_its_lease(place: Place, raw: Raw) -> None:
    silent = await Raw.connect(place, lease=0.2)
    raw.send(wire.Watch(1, "t"))
    await raw.reply()
    silent.send(wire.Enter(1, "t", {"ann": b"A"}, {}))
    assert await raw.reply() == wire.Changed("t", {"ann": b"A"}, [])
    assert await raw.reply() == wire.Changed("t", {}, ["ann"])
    assert await silent.reply() == wire.Done(1)
    silent.send(wire.Renew(2))
    assert await silent.reply() == wire.Renewed(2, False)
    await silent.close()


async def test_who_does_not_read_is_disconnected_and_holds_up_nobody(
    place: Place, raw: Raw
) -> None:
    slow = await Raw.connect(place)
    slow.send(wire.Watch(1, "t"))
    await slow.reply()
    slow.stop_reading()
    for n in range(MAX_BUFFER // 2**20 + 8):
        raw.send(wire.Publish(n, "t", b"x" * 2**20, 0, 1.0))
        await raw.reply()
    slow.read_on()
    assert await slow.hung_up()
    await slow.close()
    assert "does not read" in place.log.read_text()


@pytest.mark.parametrize(
    "first",
    [
        wire.Renew(1),
        wire.Hello(wire.WIRE_VERSION + 1, 10.0, "c"),
        wire.Hello(wire.WIRE_VERSION, 0.0, "c"),
        wire.Hello(wire.WIRE_VERSION, float("nan"), "c"),
    ],
)
async def test_who_does_not_greet_properly_is_disconnected(
    place: Place, first: wire.Request
) -> None:
    raw = await Raw.connect(place, lease=None)
    raw.send(first)
    assert await raw.hung_up()
    await raw.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        frames.frame(wire.Hello(wire.WIRE_VERSION, 10.0, "c")),
        frames.frame(wire.Read(1, "t", "e", 0, 0)),
        frames.frame(wire.Publish(1, "t", b"", -1, 1.0)),
        frames.frame(wire.Publish(1, "t", b"", 1, -1.0)),
        frames.frame(wire.Publish(1, "t", b"", 1, float("nan"))),
        frames.frame(wire.Done(1)),
        frames.frame(queue_wire.Send(1, "c", b"", 0, 0.0, 0.0, None, "", "")),
        frames.frame(queue_wire.Send(1, "c", b"", 1, float("nan"), 0.0, None, "", "")),
        frames.frame(queue_wire.Send(1, "a b", b"", 1, 0.0, 0.0, None, "", "")),
        frames.frame(queue_wire.Receive(1, "c", 0, 0.0, 1.0, 1)),
        frames.frame(queue_wire.Receive(1, "c", 1, 0.0, float("nan"), 1)),
        frames.frame(queue_wire.Nack(1, "c", "r", float("nan"), False, "")),
        frames.frame(queue_wire.Extend(1, "c", "r", -1.0)),
    ],
)
async def test_who_breaks_the_protocol_is_disconnected_and_nobody_else(
    place: Place, raw: Raw, nonsense: bytes
) -> None:
    bad = await Raw.connect(place)
    bad.writer.write(nonsense)
    assert await bad.hung_up()
    await bad.close()
    raw.send(wire.Renew(1))
    assert await raw.reply() == wire.Renewed(1, True)


async def test_an_answer_that_is_too_large_is_refused(raw: Raw) -> None:
    half = frames.MAX_FRAME // 2 + 100
    raw.send(
        wire.Enter(1, "t", {"ann": b"A" * half}, {}), wire.Enter(2, "t", {"bob": b"B" * half}, {})
    )
    assert [await raw.reply(), await raw.reply()] == [wire.Done(1), wire.Done(2)]
    raw.send(wire.Members(3, "t"))
    answer = await raw.reply()
    assert isinstance(answer, wire.Refused)
    assert "over the limit" in answer.reason


async def test_many_clients_at_once(place: Place) -> None:
    clients = await asyncio.gather(*(Raw.connect(place) for _ in range(50)))
    for client in clients:
        client.send(wire.Watch(1, "t"))
        await client.reply()
    clients[0].send(wire.Publish(2, "t", b"x", 0, 1.0))
    for client in clients:
        news = await client.reply()
        assert isinstance(news, wire.Published)
        assert news.events == [b"x"]
        await client.close()


def test_a_socket_that_cannot_be_made_is_an_error_of_the_command(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["--socket", str(tmp_path / "not" / "there.sock")]) == 1
    assert "No such file" in caplog.text


# A client that comes back -------------------------------------------------------------------------


async def test_what_is_asked_again_is_not_done_again(place: Place) -> None:
    send = queue_wire.Send(8, "c", b"x", 10, 0.0, 0.0, None, "", "")
    first = await Raw.connect(place, client="mine")
    first.send(wire.Publish(7, "t", b"x", 0, 1.0), send)
    answers = [await first.reply(), await first.reply()]
    await first.close()
    again = await Raw.connect(place, client="mine")
    again.send(wire.Publish(7, "t", b"x", 0, 1.0), send, queue_wire.State(9, "c"))
    assert [await again.reply(), await again.reply()] == answers
    assert await again.reply() == queue_wire.Numbers(9, 1, 0, 0, 0, False)
    await again.close()


async def test_nobody_knows_what_was_asked_too_long_ago(place: Place) -> None:
    raw = await Raw.connect(place, client="mine")
    raw.send(*(wire.Publish(n, "t", b"x", 0, 1.0) for n in range(1, ANSWERS + 2)))
    answered = 0
    while answered < ANSWERS + 1:
        placed = await raw.reply()
        assert isinstance(placed, wire.Placed)
        answered += placed.count
    raw.send(wire.Publish(1, "t", b"x", 0, 1.0), wire.Publish(2, "t", b"x", 0, 1.0))
    refused, found = await raw.reply(), await raw.reply()
    assert isinstance(refused, wire.Refused)
    assert refused.cause is wire.Cause.FORGOTTEN
    assert isinstance(found, wire.Placed)
    assert (found.offset, found.count) == (2, 1)
    await raw.close()


async def test_a_client_has_one_connection(place: Place) -> None:
    first = await Raw.connect(place, client="mine")
    second = await Raw.connect(place, client="mine")
    assert await first.hung_up()
    second.send(wire.Renew(1))
    assert await second.reply() == wire.Renewed(1, True)
    await first.close()
    await second.close()


async def test_what_a_client_was_handed_is_handed_to_it_again(place: Place) -> None:
    receive = queue_wire.Receive(2, "c", 5, 0.0, 60.0, 5)
    first = await Raw.connect(place, client="mine")
    first.send(queue_wire.Send(1, "c", b"x", 10, 0.0, 0.0, None, "", ""), receive)
    await first.reply()
    handed = await first.reply()
    assert isinstance(handed, queue_wire.Handed)
    await first.close()
    again = await Raw.connect(place, client="mine")
    again.send(receive, queue_wire.Ack(3, "c", handed.parcels[0].receipt))
    assert await again.reply() == handed
    assert await again.reply() == queue_wire.Held(3, True)
    await again.close()


async def test_what_a_lost_client_waited_for_is_done_when_it_is_back(place: Place) -> None:
    receive = queue_wire.Receive(1, "c", 1, 3600.0, 60.0, 5)
    first = await Raw.connect(place, client="mine")
    first.send(receive, wire.Renew(2))
    assert await first.reply() == wire.Renewed(2, True)
    await first.close()
    again = await Raw.connect(place, client="mine")
    again.send(queue_wire.Send(3, "c", b"x", 10, 0.0, 0.0, None, "", ""))
    assert isinstance(await again.reply(), queue_wire.Sent)
    again.send(receive)
    handed = await again.reply()
    assert isinstance(handed, queue_wire.Handed)
    assert [(parcel.data, parcel.attempt) for parcel in handed.parcels] == [(b"x", 1)]
    await again.close()


async def test_who_comes_when_it_has_decided_to_quit_is_not_welcomed(tmp_path: Path) -> None:
    decided = asyncio.Event()
    broker = Broker(
        linger=0, quit_=decided.set, reachable=lambda: True, journal=None, durable=Durable.NOT
    )
    loop = asyncio.get_running_loop()
    path = tmp_path / "socket"
    server = await loop.create_unix_server(lambda: Session(broker), path)
    await decided.wait()
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(frames.frame(wire.Hello(wire.WIRE_VERSION, 10.0, "c" * 16)))
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read(1) == b""
    writer.close()
    server.close()
