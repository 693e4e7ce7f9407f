"""The layer on the wire, on NATS, proved by a stranger: nats-py, and nothing of the engine's."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import nats as natspy
import pytest
import pytest_asyncio
from nats.aio.client import Client

from seaway.layers.base import Position
from seaway.layers.queues import QueueState
from seaway.testing.layer_contract import KEPT, TOPIC, Process, eventually, page
from tests.layers.nats.support import namespace, processes
from tests.servers.nats import Nats

pytestmark = pytest.mark.asyncio


class Stranger:
    """A program that has read the specification only."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name

    async def api(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.client.request(f"$JS.API.{what}", json.dumps(body).encode())
        decoded: dict[str, Any] = json.loads(answer.data)
        return decoded

    async def last(self, stream: str, subject: str) -> dict[str, Any] | None:
        body = {"last_by_subj": f"{self.name}.{subject}"}
        answer = await self.api(f"STREAM.MSG.GET.{self.name}_{stream}", body)
        message: dict[str, Any] | None = answer.get("message")
        return message

    async def store(self, subject: str, data: bytes, headers: dict[str, str]) -> dict[str, Any]:
        answer = await self.client.request(f"{self.name}.{subject}", data, headers=headers)
        decoded: dict[str, Any] = json.loads(answer.data)
        return decoded


@pytest_asyncio.fixture
async def both(nats: Nats) -> AsyncIterator[tuple[Process, Stranger]]:
    name = namespace()
    [ours] = await processes(nats.url, 1, name)
    client = await natspy.connect(nats.url)
    yield ours, Stranger(client, name)
    await client.close()
    await ours.layer.close()


def header(message: dict[str, Any], name: str) -> str:
    lines = base64.b64decode(message["hdrs"]).decode().split("\r\n")
    return dict(line.split(": ", 1) for line in lines if ": " in line)[name]


async def test_a_stranger_publishes(both: tuple[Process, Stranger]) -> None:
    ours, stranger = both
    await ours.layer.watch(TOPIC)
    first = await ours.layer.publish(TOPIC, b"ours", KEPT)
    subject = f"t.{TOPIC}"
    last = await stranger.last("topics", subject)
    assert last is not None
    epoch, offset, _ = header(last, "Seaway-Event").split(" ")
    assert (epoch, int(offset)) == (first.epoch, 1)
    headers = {
        "Seaway-Event": f"{epoch} 2 strange-1",
        "Seaway-History": "100 600",
        "Seaway-Sizes": "3,6",
        "Nats-Expected-Last-Subject-Sequence": str(last["seq"]),
    }
    assert "seq" in await stranger.store(subject, b"twothree!", headers)
    assert (await stranger.store(subject, b"again", headers))["error"]["err_code"] == 10071
    await ours.heard.until_count(3)
    assert ours.heard.data() == [b"ours", b"two", b"three!"]
    assert (await ours.layer.publish(TOPIC, b"four", KEPT)).offset == 4
    read = page(await ours.layer.read(TOPIC, Position(epoch, 1)))
    assert [publication.data for publication in read.publications] == [b"two", b"three!", b"four"]


async def test_a_stranger_begins_a_topic(both: tuple[Process, Stranger]) -> None:
    ours, stranger = both
    anchor = await stranger.last("topics", "anchor")
    assert anchor is not None
    root = base64.b64decode(anchor["data"]).decode()
    before = await ours.layer.position("new")
    assert before.epoch.startswith(f"{root}-")
    headers = {
        "Seaway-Event": f"{before.epoch} 1 strange-2",
        "Nats-Rollup": "sub",
        "Nats-Expected-Last-Subject-Sequence": "0",
    }
    await stranger.store("t.new", b"x", headers)
    assert await ours.layer.position("new") == Position(before.epoch, 1)


async def test_a_stranger_follows(both: tuple[Process, Stranger]) -> None:
    ours, stranger = both
    subscription = await stranger.client.subscribe(f"{stranger.name}.l.a%2Eb.e")
    await stranger.client.flush()
    published = await ours.layer.publish("a.b", b"x", KEPT)
    message = await subscription.next_msg(5.0)
    assert message.headers is not None
    epoch, offset, _ = message.headers["Seaway-Event"].split(" ")
    assert (Position(epoch, int(offset)), message.data) == (published, b"x")
    assert int(message.headers["Nats-Sequence"]) > 0


async def test_a_stranger_takes_from_a_channel(both: tuple[Process, Stranger]) -> None:
    ours, stranger = both
    id_ = await ours.layer.send("jobs", b"work")
    subject = f"q.jobs.i.{id_}"
    first = await stranger.last("queues", subject)
    assert first is not None
    assert json.loads(header(first, "Seaway-State"))["state"] == "new"
    assert base64.b64decode(first["data"]) == b"work"
    taken = await stranger.store(
        subject,
        b"",
        {
            "Seaway-State": json.dumps(
                {"state": "held", "attempts": 1, "tries": 5, "seconds": 60, "receipt": "r1"}
            ),
            "Nats-Expected-Last-Subject-Sequence": str(first["seq"]),
        },
    )
    assert await ours.layer.queue_state("jobs") == QueueState(held=1)
    assert list(await ours.layer.receive("jobs")) == []
    await stranger.store(
        subject,
        b"",
        {
            "Seaway-State": '{"state":"done"}',
            "Nats-Rollup": "sub",
            "Nats-TTL": "60s",
            "Nats-Expected-Last-Subject-Sequence": str(taken["seq"]),
        },
    )
    assert await ours.layer.queue_state("jobs") == QueueState()


async def test_a_stranger_sends_to_a_channel(both: tuple[Process, Stranger]) -> None:
    ours, stranger = both
    await stranger.store("q.jobs.i.strange", b"work", {"Seaway-State": '{"state":"new"}'})
    [delivery] = await ours.layer.receive("jobs", wait=5.0)
    assert (delivery.id, delivery.data, delivery.attempt) == ("strange", b"work", 1)
    assert await ours.layer.ack(delivery)


async def test_a_stranger_is_present(both: tuple[Process, Stranger]) -> None:
    ours, stranger = both
    await ours.layer.watch(TOPIC)
    subject = f"p.{TOPIC}.eve.puser-1"
    entered = await stranger.store(subject, b"E", {"Seaway-Member": "strange in"})
    await ours.heard.until_present({"eve": b"E"})
    assert await ours.layer.members(TOPIC) == {"eve": b"E"}
    left = {
        "Seaway-Member": "strange out",
        "Nats-Rollup": "sub",
        "Nats-TTL": "60s",
        "Nats-Expected-Last-Subject-Sequence": str(entered["seq"]),
    }
    await stranger.store(subject, b"", left)
    await ours.heard.until_present({})
    await eventually(lambda: ours.layer.members(TOPIC), lambda found: found == {})
