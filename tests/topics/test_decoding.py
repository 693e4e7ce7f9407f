"""Data in the layer that are not what Seaway puts there: by another program, or by other keys."""

from __future__ import annotations

import pytest

from seaway import EventsMissed, History, TopicAddress
from seaway.conf import layer_home
from seaway.layers.cipher import Cipher
from seaway.layers.stream import Unsayable
from seaway.topics import decoding
from seaway.topics.decoding import event_object, event_parts, readable_members

SEALED = Cipher(["k" * 32]).seal(b'{"event":"sold","data":1}', "news")


@pytest.mark.parametrize(
    "data",
    [
        b'{"event":"sold","data":{"seat":12}}',
        b'{"data":null,"event":"sold"}',
        '{"event":"verkauft","data":"ä"}'.encode(),
    ],
)
def test_events_pass_as_they_are(data: bytes) -> None:
    assert event_object(data) is data


def test_an_event_on_several_lines_becomes_one() -> None:
    data = b' {\r\n "event": "sold",\n "data": [1,\n 2]\n}\n'
    assert event_object(data) == b'{"event":"sold","data":[1,2]}'
    assert event_parts(data).event == "sold"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"sold",
        b"[1]",
        b"{}",
        b'{"event":"sold"}',
        b'{"event":1,"data":1}',
        b'{"event":"sold","data":1,"offset":7}',
        b'{"event":"sold","data":{"seat":12}',
        b'{"event":"sold","data":1} {"event":"sold","data":2}',
        b'{"event":"sold","data":"\xff"}',
        b'{"event":"\xff","data":1}',
    ],
)
def test_anything_else_is_no_event(data: bytes) -> None:
    with pytest.raises(Unsayable, match="not an event in JSON"):
        event_object(data)


def test_of_what_is_encrypted_it_is_said() -> None:
    with pytest.raises(Unsayable, match="ENCRYPTION_KEYS is empty in this process"):
        event_object(SEALED)


def test_members_that_cannot_be_read_are_left_out(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding._Members, "told", False)
    assert readable_members([b'{"id":"ann"}', SEALED, b""]) == [b'{"id":"ann"}']
    assert readable_members([b"bob"]) == []
    [record] = caplog.records
    assert "encrypted, and ENCRYPTION_KEYS is empty here" in record.message


async def test_a_follower_misses_what_it_cannot_read_and_goes_on() -> None:
    news = TopicAddress("news", History(size=10))
    async with news.follow() as follower:
        await news.apublish("n", 1)
        await layer_home().arun(lambda layer: layer.publish("news", SEALED))
        assert (await follower.receive()).payload == 1
        with pytest.raises(EventsMissed):
            await follower.receive()
        await news.apublish("n", 2)
        assert (await follower.receive()).payload == 2


async def test_asked_for_members_it_leaves_out_what_it_cannot_read() -> None:
    news = TopicAddress("news")
    await layer_home().arun(lambda layer: layer.enter("news", "ann", b'{"name":"Ann"}'))
    await layer_home().arun(lambda layer: layer.enter("news", "bob", SEALED))
    assert await news.amembers() == [{"id": "ann", "name": "Ann"}]
