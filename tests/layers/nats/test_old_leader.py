"""A server of a cluster that does not know yet that it leads no more says what is older than what
was seen: nobody is told of a gap for that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from seaway.exceptions import LayerError
from seaway.layers.base import Page
from seaway.layers.nats.layer import NatsLayer
from tests.layers.following import Follower
from tests.layers.nats.support import LARGE, namespace, nats_layer
from tests.servers.namespace import Namespace
from tests.servers.nats import nats_binary
from tests.servers.ports import free_port
from tests.servers.process import Server
from tests.waiting import until

pytestmark = pytest.mark.asyncio
TOPIC = "halls/1/seats"
#: Seconds for a cluster to elect leaders, on a busy machine.
PATIENCE = 60.0


class Hall:
    """A cluster of three, of which the last one lives in a namespace: its clients reach it by one
    wire, the other two by another one. Clients are not told of other servers than their own."""

    def __init__(self, network: Namespace, directory: Path) -> None:
        front, self.back = network.wire(), network.wire()
        here, there = self.back.here, self.back.there
        self.clients = [("127.0.0.1", free_port()) for _ in range(2)] + [(front.there, 4222)]
        peers = [(here, free_port(here)), (here, free_port(here)), (there, 6222)]
        routes = ", ".join(f'"nats://{host}:{port}"' for host, port in peers)
        self.servers = []
        for number, (client, peer) in enumerate(zip(self.clients, peers, strict=True)):
            folder = directory / f"node{number}"
            folder.mkdir()
            cluster = f"name: hall, listen: {peer[0]}:{peer[1]}, routes: [{routes}]"
            lines = [
                f"listen: {client[0]}:{client[1]}",
                f"server_name: node{number}",
                f'jetstream {{ store_dir: "{folder / "data"}", max_mem: 256MB }}',
                f"cluster {{ {cluster}, no_advertise: true }}",
            ]
            (folder / "nats.conf").write_text("\n".join(lines) + "\n")
            command = [nats_binary(), "-c", str(folder / "nats.conf")]
            command = network.command(*command) if number == 2 else command
            self.servers.append(Server(command, folder, lambda: True))

    def start(self) -> None:
        for server in self.servers:
            server.launch()

    def kill(self) -> None:
        for server in self.servers:
            server.kill()

    def url(self, *numbers: int) -> str:
        hosts = ",".join(f"{host}:{port}" for host, port in (self.clients[n] for n in numbers))
        return f"nats://{hosts}?timeout=30"


@pytest.fixture
def hall(network: Namespace, tmp_path: Path) -> Iterator[Hall]:
    hall = Hall(network, tmp_path)
    hall.start()
    yield hall
    hall.kill()


async def start(layer: NatsLayer) -> Follower:
    """Follow, as soon as the cluster works."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await Follower(layer, TOPIC).start()
            except LayerError:
                await asyncio.sleep(0.2)


async def lead(layer: NatsLayer, node: str) -> None:
    """Let this node lead the stream of topics."""
    name = layer._streams.topics
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(LayerError):
                facts = await layer._jetstream.api.info(name)
                if facts["cluster"].get("leader") == node:
                    return
                wish = {"placement": {"preferred": node}}
                await layer._jetstream.api.request(f"STREAM.LEADER.STEPDOWN.{name}", wish)
            await asyncio.sleep(0.2)


async def publish(layer: NatsLayer, names: list[str]) -> None:
    """Publish all of them; while nobody leads, what is refused is published again."""
    for name in names:
        async with asyncio.timeout(PATIENCE):
            await layer.publish(TOPIC, name.encode(), LARGE)


async def leave_behind(
    hall: Hall, here: NatsLayer, moves: NatsLayer, follower: Follower, names: list[str]
) -> None:
    """Cut the leader off, publish, and let a follower's layer move to it that knows it all."""
    await lead(here, "node2")
    await publish(here, names[:1])
    await follower.until_got(names[0].encode(), PATIENCE)
    await asyncio.to_thread(hall.back.sever)
    await publish(here, names[1:])
    await follower.until_got(names[-1].encode(), PATIENCE)
    # As if its server had been lost: the next one of its list is the one that was left alone.
    link = moves._engine.link
    assert link is not None
    link.hang_up("the test says so")


async def was_asked(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether the old leader answered. It does not when it has found out that it leads no more:
    on a busy machine that may come first."""
    with suppress(TimeoutError):
        await until(lambda: "is said to end at" in caplog.text, patience=15)
        return True
    return False


async def test_an_old_leader_s_answers_make_no_gap(
    hall: Hall, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "seaway.layers")
    name = namespace()
    here, moves = (nats_layer(hall.url(*numbers), name) for numbers in ((0,), (1, 2)))
    followers = [await start(here), await start(moves)]
    published: list[str] = []
    try:
        for attempt in range(5):
            names = [f"{attempt}-{n}" for n in range(20)]
            published += names
            await leave_behind(hall, here, moves, followers[1], names)
            if await was_asked(caplog):
                break
            await asyncio.to_thread(hall.back.mend)
        assert "is said to end at" in caplog.text, "no old leader has answered"

        await asyncio.to_thread(hall.back.mend)
        await publish(here, ["last"])
        for follower in followers:
            await follower.until_got(b"last", PATIENCE)
        for follower in followers:
            [events] = follower.lives
            assert [data.decode() for _, data in events] == [*published, "last"]
        position = await here.position(TOPIC)
        assert isinstance(await moves.read(TOPIC, position), Page)
        assert "gone back" not in caplog.text
    finally:
        for follower in followers:
            await follower.stop()
