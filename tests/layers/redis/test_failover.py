"""Masters that change while clients follow: nothing is lost in silence."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway.layers.redis import keys
from tests.layers.redis.halls import TOPIC, Hall, hall
from tests.layers.redis.support import engine_of
from tests.servers.valkey import SentinelTrio, ValkeyCluster
from tests.waiting import until


@pytest.fixture
def own_sentinels(tmp_path: Path) -> Iterator[SentinelTrio]:
    servers = SentinelTrio(tmp_path / "sentinels")
    yield servers.start()
    servers.kill()


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[ValkeyCluster]:
    servers = ValkeyCluster(tmp_path / "cluster")
    yield servers.start()
    servers.kill()


@pytest.mark.parametrize("how", ["in order", "by a kill"])
async def test_a_failover_of_sentinels_is_followed(own_sentinels: SentinelTrio, how: str) -> None:
    url = f"{own_sentinels.url}?timeout=10"
    async with hall(url) as scene:
        master = own_sentinels.master()
        if how == "in order":
            await asyncio.to_thread(own_sentinels.fail_over)
        else:
            master.kill()
            await until(lambda: own_sentinels.master() is not master, 30)
        await scene.settle()
        # The replica may have lacked the last events: nobody goes on as if it had not.
        assert scene.gaps == [1, 1]


async def test_a_promoted_replica_of_a_cluster_is_followed(own_cluster: ValkeyCluster) -> None:
    async with hall(f"{own_cluster.url}?timeout=10") as scene:
        slot = _slot_of(scene)
        own_cluster.master_of(slot).kill()
        await scene.settle()
        assert scene.gaps == [1, 1]


async def test_a_slot_that_moves_is_followed(own_cluster: ValkeyCluster) -> None:
    async with hall(f"{own_cluster.url}?timeout=10") as scene:
        slot = _slot_of(scene)
        source = own_cluster.master_of(slot)
        target = next(node for node in own_cluster.nodes[:3] if node is not source)
        await asyncio.to_thread(own_cluster.migrate, slot, target)
        await until(lambda: own_cluster.master_of(slot) is target)
        await scene.settle()
        assert max(scene.gaps) <= 1


def _slot_of(scene: Hall) -> int:
    engine = engine_of(scene.followers[0].hub.layer)
    return keys.slot(keys.stream_keys(engine.root, TOPIC)[0])
