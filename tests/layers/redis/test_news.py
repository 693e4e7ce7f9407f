"""News that no script has told, and an offset that is given twice: by somebody's hand."""

from __future__ import annotations

import pytest

from seaway.layers.base import Gap, Page
from seaway.layers.redis import keys
from seaway.testing.layer_contract import KEPT, TOPIC
from tests.layers.redis.support import engine_of, namespace, processes
from tests.servers.valkey import Valkey

pytestmark = pytest.mark.asyncio


async def test_news_that_are_none_are_counted_and_change_nothing(
    valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    name = namespace()
    here, there = await processes(valkey.url, 2, name)
    try:
        await here.layer.watch(TOPIC)
        base = keys.stream_keys(name.encode(), TOPIC)[0]
        nonsense = (b"p", b"p x", b"p a b c", b"+", b"+ ann", b"- \xff", b"", b"zzz")
        for news in nonsense:
            valkey.ask("SPUBLISH", base, news)
        await there.layer.publish(TOPIC, b"1", KEPT)
        await here.heard.until_count(1)
        assert here.heard.data() == [b"1"]
        assert here.heard.changes == []
        assert engine_of(here.layer).flaws.count == 6  # not the last two
        assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    finally:
        await here.layer.close()
        await there.layer.close()


async def test_an_offset_that_is_given_twice_is_not_taken_for_known(valkey: Valkey) -> None:
    name = namespace()
    here, there = await processes(valkey.url, 2, name)
    try:
        await here.layer.watch(TOPIC)
        for data in (b"1", b"2", b"3"):
            last = await there.layer.publish(TOPIC, data, KEPT)
        await here.heard.until_count(3)
        valkey.ask("HSET", keys.stream_keys(name.encode(), TOPIC)[0], "o", 1)
        back = await there.layer.publish(TOPIC, b"4", KEPT)
        assert (back.epoch, back.offset) == (last.epoch, 2)
        await here.heard.until(lambda: here.heard.restorations == [(TOPIC, back)])
        assert here.heard.data() == [b"1", b"2", b"3"]
        now = await there.layer.publish(TOPIC, b"5", KEPT)
        # By now, the topic is where it was before: to whoever comes from there it is not the same.
        assert now == last
        assert await here.layer.read(TOPIC, last) == Gap(now)
        assert await here.layer.read(TOPIC, last) == Page([], now)
    finally:
        await here.layer.close()
        await there.layer.close()
