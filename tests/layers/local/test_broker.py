"""The broker as its clients' bytes see it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seaway.layers.local import wire
from seaway.layers.local.broker import main
from seaway.layers.local.launch import ensure_broker
from seaway.layers.local.place import Place, find_place
from seaway.layers.local.session import MAX_BUFFER
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
    assert answers[2] == wire.At(3, answers[0].epoch, 1)
    assert answers[3] == wire.Renewed(4, True)


async def test_an_event_follows_the_answer_to_its_watch(raw: Raw) -> None:
    raw.send(wire.Watch(1, "t"), wire.Publish(2, "t", b"x", 0, 1.0))
    watched = await raw.reply()
    assert isinstance(watched, wire.At)
    assert await raw.reply() == wire.Published("t", watched.epoch, 1, b"x")
    assert await raw.reply() == wire.At(2, watched.epoch, 1)


async def test_members_leave_at_once_when_their_connection_is_lost(place: Place, raw: Raw) -> None:
    other = await Raw.connect(place, lease=3600)
    other.send(wire.Enter(1, "t", {"ann": b"A", "bob": b"B"}))
    assert await other.reply() == wire.Done(1)
    raw.send(wire.Watch(1, "t"))
    await raw.reply()
    await other.close()
    assert await raw.reply() == wire.Changed("t", {}, ["ann", "bob"])


async def test_members_of_a_silent_client_leave_after_its_lease(place: Place, raw: Raw) -> None:
    silent = await Raw.connect(place, lease=0.2)
    raw.send(wire.Watch(1, "t"))
    await raw.reply()
    silent.send(wire.Enter(1, "t", {"ann": b"A"}))
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
        wire.Hello(wire.WIRE_VERSION + 1, 10.0),
        wire.Hello(wire.WIRE_VERSION, 0.0),
        wire.Hello(wire.WIRE_VERSION, float("nan")),
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
        wire.frame(wire.Hello(wire.WIRE_VERSION, 10.0)),
        wire.frame(wire.Read(1, "t", "e", 0, 0)),
        wire.frame(wire.Publish(1, "t", b"", -1, 1.0)),
        wire.frame(wire.Publish(1, "t", b"", 1, -1.0)),
        wire.frame(wire.Publish(1, "t", b"", 1, float("nan"))),
        wire.frame(wire.Done(1)),
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
    half = wire.MAX_FRAME // 2 + 100
    raw.send(wire.Enter(1, "t", {"ann": b"A" * half}), wire.Enter(2, "t", {"bob": b"B" * half}))
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
        assert news.data == b"x"
        await client.close()


def test_a_socket_that_cannot_be_made_is_an_error_of_the_command(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["--socket", str(tmp_path / "not" / "there.sock")]) == 1
    assert "No such file" in caplog.text
