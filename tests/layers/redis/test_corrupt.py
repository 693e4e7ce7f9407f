"""Data that somebody has damaged: what is skipped, what is a gap, and what is counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seaway.exceptions import LayerUnavailable
from seaway.layers.redis import keys
from tests.layers.redis.halls import TOPIC, hall_of_one
from tests.layers.redis.support import engine_of, namespace, processes, redis_layer
from tests.servers.valkey import Valkey


@pytest.mark.parametrize(
    "harm",
    [
        lambda base: ("HSET", base, "o", "many"),
        lambda base: ("SET", base, "a string"),
        lambda base: ("SET", base + b".history", "a string"),
        lambda base: ("LSET", base + b".history", 1, "short"),
    ],
    ids=["offset", "stream", "history", "event"],
)
async def test_a_corrupt_stream_is_a_gap_and_goes_on(
    valkey: Valkey, harm: Callable[[bytes], tuple[bytes | str | int, ...]],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    name = namespace()
    async with hall_of_one(valkey, name) as (follower, publisher):
        for _ in range(3):
            last = await publisher.publish()
        await follower.until_got(last)
        base = keys.stream_keys(name.encode(), TOPIC)[0]
        valkey.ask(*harm(base))
        layer = follower.hub.layer
        start = follower.lives[0][0][0]
        answer = await layer.read(TOPIC, start)
        assert not getattr(answer, "publications", ())[1:]
        assert engine_of(layer).flaws.count == 1
        await follower.until_current(publisher)
        follower.check(publisher.told)
        await layer.read(TOPIC, start)
        assert sum("corrupt" in record.message for record in caplog.records) <= 2


async def test_corrupt_members_and_messages_are_skipped_and_counted(valkey: Valkey) -> None:
    name = namespace()
    [here] = await processes(valkey.url, 1, name)
    layer = redis_layer(valkey.url, name)
    try:
        await here.layer.enter(TOPIC, "ann", b"A")
        members = keys.presence_keys(name.encode(), TOPIC)[1]
        valkey.ask("HSET", members, "bob", "garbage")
        assert await here.layer.members(TOPIC) == {"ann": b"A"}
        ids = [await here.layer.send("work", b"%d" % n, order="o") for n in range(3)]
        records = keys.queue_keys(name.encode(), "work")[1]
        valkey.ask("HSET", records, ids[0], "garbage")
        [delivery] = await here.layer.receive("work", limit=5, wait=5)
        assert delivery.data == b"1"
        assert engine_of(here.layer).flaws.count == 2
    finally:
        await here.layer.close()
    with pytest.raises(LayerUnavailable):
        await layer.position(TOPIC)
