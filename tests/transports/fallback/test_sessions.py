"""The connections of one process: what their one timer does, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from seaway.auth import Visitor
from seaway.conf import layer_home
from seaway.connections.connection import Connection
from seaway.connections.registry import ConnectionRegistry, Limits
from seaway.dialects.seaway import DIALECT
from seaway.exceptions import CloseCode
from seaway.server.handoff import Framing
from seaway.transports import sessions as module
from seaway.transports import sse
from seaway.transports.http import Refusal
from seaway.transports.polling import PollSession
from seaway.transports.sessions import Sessions, Taken, Upload
from seaway.transports.sse import StreamSession, check_open
from seaway.transports.ticket import RENEW_SECONDS, check_ticket
from tests.transports.fallback.clients import Event, EventReader


class Wire:
    """A sink whose bytes are read as an event stream."""

    def __init__(self) -> None:
        self.framing: Framing = sse.frame
        self.writable = True
        self.reader = EventReader()
        self.events: list[Event] = []
        self.closed_with: tuple[int, str] | None = None

    def write(self, frame: bytes) -> None:
        self.events += self.reader.feed(frame)

    def close(self, code: int, reason: str = "") -> None:
        self.closed_with = (int(code), reason)

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""


@pytest.fixture
async def sessions() -> AsyncIterator[Sessions]:
    home = layer_home()
    await home.adopt()
    sessions = Sessions(ConnectionRegistry(home.hub, Limits()))
    yield sessions
    await sessions.end()
    await sessions.registry.drain(5)
    await home.release()


ANN = Visitor("a" * 32)


def opened(sessions: Sessions) -> tuple[StreamSession, Wire]:
    session, wire = StreamSession(sessions, Connection(sessions.registry, ANN, DIALECT)), Wire()
    session.start(wire)
    return session, wire


def polled(sessions: Sessions) -> PollSession:
    return PollSession(sessions, Connection(sessions.registry, ANN, DIALECT))


async def test_a_stream_begins_with_its_ticket(sessions: Sessions) -> None:
    session, wire = opened(sessions)
    assert [event.name for event in wire.events] == ["ticket", "message"]
    ticket = check_ticket(wire.events[0].data, ANN)
    assert (ticket.connection, ticket.address) == (session.connection.id, sessions.mailbox.address)


async def test_a_stream_is_kept_alive_and_its_ticket_renewed(sessions: Sessions) -> None:
    session, wire = opened(sessions)
    begun = sessions.now()
    assert session.due == pytest.approx(begun + 20, abs=1)
    session.tick(begun + 20)
    assert wire.reader.comments == 1
    assert session.due == pytest.approx(begun + 40)
    session.tick(begun + RENEW_SECONDS + 1)
    assert [event.name for event in wire.events] == ["ticket", "message", "ticket"]
    assert check_ticket(wire.events[-1].data, ANN).connection == session.connection.id


async def test_a_stream_that_is_gone_is_forgotten(sessions: Sessions) -> None:
    session, _ = opened(sessions)
    ticket = check_ticket(session.ticket, ANN)
    session.on_close(1006, "")
    answer = await sessions.ask(ticket, Upload(1, []))
    assert answer.taken is Taken.GONE
    assert session.take(Upload(1, [])) is Taken.GONE


async def test_a_client_says_that_it_goes(sessions: Sessions) -> None:
    session, wire = opened(sessions)
    assert session.take(Upload(1, [b'{"type":"ping"}'], close=True)) is Taken.YES
    assert wire.events[-1].data == '{"type":"pong"}'
    assert wire.closed_with == (CloseCode.GOING_AWAY, "the client goes")


async def test_a_poll_that_another_overtakes_ends_empty(sessions: Sessions) -> None:
    session = polled(sessions)
    assert b'"welcome"' in (await session.poll(0) or b"")
    first = asyncio.ensure_future(session.poll(1))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(session.poll(1))
    assert await first == b'{"batch":1,"messages":[]'
    session.take(Upload(1, [b'{"type":"ping"}']))
    assert await second == b'{"batch":2,"messages":[{"type":"pong"}]'


async def test_messages_of_one_turn_share_a_batch(sessions: Sessions) -> None:
    session = polled(sessions)
    await session.poll(0)
    waiting = asyncio.ensure_future(session.poll(1))
    await asyncio.sleep(0)
    session.take(Upload(1, [b'{"type":"ping"}'] * 3))
    assert (await waiting or b"").count(b"pong") == 3


async def test_a_client_that_is_not_polled_any_more_is_gone(sessions: Sessions) -> None:
    session = polled(sessions)
    await session.poll(0)
    await asyncio.wait_for(_tick_while_polled(session), 20)
    assert not session.connection.closed
    session.tick(session.due)
    await asyncio.sleep(0)
    assert session.connection.closed
    answer = await sessions.ask(check_ticket(session.ticket, ANN), None, 1)
    assert answer.taken is Taken.GONE


async def _tick_while_polled(session: PollSession) -> None:
    waiting = asyncio.ensure_future(session.poll(1))
    await asyncio.sleep(0)
    session.tick(session.due)
    session.take(Upload(1, [b'{"type":"ping"}']))
    await waiting


async def test_a_poller_learns_why_it_was_closed(sessions: Sessions) -> None:
    session = polled(sessions)
    await session.poll(0)
    session.take(Upload(1, [b'{"type":"dance"}']))
    last: dict[str, Any] = msgspec.json.decode((await session.poll(1) or b"") + b"}")
    assert last["close"]["code"] == CloseCode.BAD_MESSAGE
    await asyncio.sleep(0)
    assert session.connection.closed


async def test_a_process_takes_so_many_and_no_more(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SESSIONS", 2)
    polled(sessions)
    check_open(sessions)
    polled(sessions)
    with pytest.raises(Refusal) as refused:
        check_open(sessions)
    assert refused.value.status == 503
    assert b"overloaded" in refused.value.body


async def test_a_process_that_ends_takes_nobody_in(sessions: Sessions) -> None:
    _, wire = opened(sessions)
    session = polled(sessions)
    sessions.drain()
    assert wire.closed_with == (CloseCode.SERVICE_RESTART, "service restart")
    assert b'"code":1012' in (await session.poll(0) or b"")
    with pytest.raises(Refusal) as refused:
        check_open(sessions)
    assert b"restarting" in refused.value.body
