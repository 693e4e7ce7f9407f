"""The broker's wire: what goes in comes out, however it is cut; nonsense is refused."""

import contextlib
from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seaway.exceptions import ProtocolError
from seaway.layers.local import frames, queue_wire, wire

ANY_PACE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
IDS = st.integers(0, 2**53)
NAMES = st.text(max_size=30)
DATA = st.binary(max_size=200)
SECONDS = st.floats(allow_nan=False)


def built(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Messages of a kind, with numbers that MessagePack has room for and that equal themselves."""
    plain: dict[Any, st.SearchStrategy[Any]] = {
        int: IDS, float: SECONDS, float | None: st.none() | SECONDS,
    }  # fmt: skip
    fields = msgspec.structs.fields(kind)
    whole = {field.name: plain[field.type] for field in fields if field.type in plain}
    if kind is queue_wire.Handed:
        whole["parcels"] = st.lists(built(queue_wire.Parcel), max_size=3)
    if kind is queue_wire.Letters:
        whole["letters"] = st.lists(built(queue_wire.Letter), max_size=3)
    return st.builds(kind, **whole)


REQUESTS = st.one_of(
    st.builds(wire.Hello, IDS, st.floats(0, 100), NAMES),
    st.builds(wire.Publish, IDS, NAMES, DATA, IDS, st.floats(0, 100)),
    st.builds(wire.Watch, IDS, NAMES),
    st.builds(wire.Unwatch, IDS, NAMES),
    st.builds(wire.Where, IDS, NAMES),
    st.builds(wire.Read, IDS, NAMES, NAMES, IDS, IDS),
    st.builds(
        wire.Enter,
        IDS,
        NAMES,
        st.dictionaries(NAMES, DATA, max_size=3),
        st.dictionaries(NAMES, NAMES, max_size=3),
    ),
    st.builds(wire.Leave, IDS, NAMES, NAMES),
    st.builds(wire.Members, IDS, NAMES),
    st.builds(wire.Renew, IDS),
    st.builds(wire.Headcount, IDS, NAMES),
    st.builds(wire.Bye, IDS),
    *map(built, get_args(queue_wire.QueueQuestion)),
)
REPLIES = st.one_of(
    st.builds(wire.Welcome, IDS, IDS, st.booleans(), IDS),
    st.builds(wire.At, IDS, NAMES, IDS),
    st.builds(wire.Done, IDS),
    st.builds(wire.Events, IDS, NAMES, IDS, IDS, st.lists(DATA, max_size=3)),
    st.builds(wire.Missed, IDS, NAMES, IDS),
    st.builds(wire.Present, IDS, st.dictionaries(NAMES, DATA, max_size=3)),
    st.builds(wire.Renewed, IDS, st.booleans()),
    st.builds(wire.Refused, IDS, NAMES, st.sampled_from(wire.Cause)),
    st.builds(wire.Heads, IDS, IDS, IDS),
    *map(built, get_args(queue_wire.QueueAnswer)),
    st.builds(wire.Placed, IDS, NAMES, IDS, IDS),
    st.builds(wire.Published, NAMES, NAMES, IDS, st.lists(DATA, max_size=3)),
    st.builds(
        wire.Changed, NAMES, st.dictionaries(NAMES, DATA, max_size=3), st.lists(NAMES, max_size=3)
    ),
)


def cut(data: bytes, points: list[int]) -> list[bytes]:
    edges = [0, *sorted(point % (len(data) + 1) for point in points), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


@ANY_PACE
@given(st.lists(REQUESTS, max_size=8), st.lists(st.integers(0, 10_000), max_size=12))
def test_requests_survive_any_cut(messages: list[wire.Request], points: list[int]) -> None:
    parser = wire.requests()
    pieces = cut(b"".join(map(frames.frame, messages)), points)
    assert [message for piece in pieces for message in parser.feed(piece)] == messages


@ANY_PACE
@given(st.lists(REPLIES, max_size=8), st.lists(st.integers(0, 10_000), max_size=12))
def test_replies_survive_any_cut(messages: list[wire.Reply], points: list[int]) -> None:
    parser = wire.replies()
    pieces = cut(b"".join(map(frames.frame, messages)), points)
    assert [message for piece in pieces for message in parser.feed(piece)] == messages


@ANY_PACE
@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes_are_messages_or_a_protocol_error(pieces: list[bytes]) -> None:
    parser = wire.requests()
    with contextlib.suppress(ProtocolError):
        for piece in pieces:
            for message in parser.feed(piece):
                assert isinstance(message, wire.Request)


@ANY_PACE
@given(st.binary(max_size=60))
def test_any_body_is_a_message_or_a_protocol_error(body: bytes) -> None:
    framed = len(body).to_bytes(4, "big") + body
    try:
        [message] = wire.requests().feed(framed)
    except ProtocolError:
        return
    assert isinstance(message, wire.Request)


def test_a_large_message_in_small_pieces() -> None:
    message = wire.Publish(1, "topic", b"x" * 3_000_000, 0, 1.0)
    parser, framed = wire.requests(), frames.frame(message)
    found = []
    for start in range(0, len(framed), 4096):
        found += parser.feed(framed[start : start + 4096])
    assert found == [message]


def test_a_frame_that_is_too_long_is_refused_before_it_has_come() -> None:
    with pytest.raises(ProtocolError, match="over the limit"):
        wire.requests().feed((frames.MAX_FRAME + 1).to_bytes(4, "big") + b"x")


def test_a_message_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="over the limit"):
        frames.frame(wire.Publish(1, "topic", bytes(frames.MAX_FRAME), 0, 1.0))


@pytest.mark.parametrize(
    "content",
    [b"", "text", 7, None, [], [99, 1], [2], [2, "id", "topic"], [1, 1, "t", "text", 0, 1.0]],
)
def test_what_is_no_request_is_refused(content: object) -> None:
    body = msgspec.msgpack.encode(content) if content != b"" else b""
    with pytest.raises(ProtocolError, match="not a message"):
        wire.requests().feed(len(body).to_bytes(4, "big") + body)


def test_text_that_is_not_utf8_is_refused() -> None:
    body = frames.frame(wire.Watch(1, "abc"))[4:].replace(b"abc", b"a\xffc")
    with pytest.raises(ProtocolError, match="not a message"):
        wire.requests().feed(len(body).to_bytes(4, "big") + body)
