"""The framing of event streams, read back by the algorithm of WHATWG HTML section 9.2.6."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway.protocol import sse
from tests.transports.fallback.clients import Event, EventReader

#: Text in which what matters to a stream is as frequent as anything else.
TEXT = st.text(
    st.one_of(st.sampled_from("\r\n\0: \ufeffid"), st.characters(exclude_categories=["Cs"]))
)


def read(*parts: bytes) -> list[Event]:
    reader = EventReader()
    # Behind a comment, so that a byte order mark in a message does not begin the stream.
    return [event for part in (sse.COMMENT, *parts) for event in reader.feed(part)]


def lines_joined(text: str) -> str:
    """What arrives of data: every line end becomes a line feed."""
    return re.sub("\r\n|\r", "\n", text)


@given(TEXT)
def test_a_message_arrives(message: str) -> None:
    assert read(sse.frame(message.encode())) == [Event("message", lines_joined(message), "")]


@given(st.lists(TEXT.filter(bool)), st.integers(1, 7))
def test_messages_arrive_in_order_however_they_are_cut(messages: list[str], size: int) -> None:
    stream = sse.COMMENT + b"".join(sse.frame(message.encode()) for message in messages)
    reader = EventReader()
    got: list[Event] = []
    for start in range(0, len(stream), size):
        got += reader.feed(stream[start : start + size])
    assert [event.data for event in got] == [lines_joined(message) for message in messages]


@given(TEXT.filter(bool), TEXT, TEXT)
def test_name_and_id_arrive_and_cannot_break_out(data: str, name: str, last_id: str) -> None:
    framed = sse.event(data.encode(), name=name.encode(), id=last_id.encode())
    clean = re.compile("[\r\n\0]+")
    expected = Event(clean.sub(" ", name) or "message", lines_joined(data), clean.sub(" ", last_id))
    # Of the spaces before a value the reader takes one away, which is ours.
    assert read(framed) == [expected]


@pytest.mark.parametrize("message", ['{"a":1}', "", "x" * 100_000])
def test_a_message_in_one_line_is_one_line(message: str) -> None:
    assert sse.frame(message.encode()) == b"data: " + message.encode() + b"\n\n"


def test_a_comment_is_no_event() -> None:
    reader = EventReader()
    assert list(reader.feed(sse.COMMENT)) == []
    assert reader.comments == 1


def test_retry() -> None:
    reader = EventReader()
    assert list(reader.feed(sse.retry(1500))) == []
    assert reader.retry == 1500


def test_an_id_stays_until_the_next() -> None:
    got = read(sse.event(b"1", id=b"a"), sse.event(b"2"), sse.event(b"3", id=b"b"))
    assert [event.last_id for event in got] == ["a", "a", "b"]
