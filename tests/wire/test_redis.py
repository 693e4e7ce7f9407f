"""docs/reference/layer-wire.md, proved: what a client of Redis or Valkey finds out for itself."""

from __future__ import annotations

import pytest

from seaway.layers.base import Layer
from tests.servers.valkey import Valkey
from tests.wire.conftest import KEPT, TOPIC, Node

pytestmark = [pytest.mark.node, pytest.mark.parametrize("server", ["redis"], indirect=True)]


async def test_it_reads_what_it_was_not_told(
    node: Node, arguments: tuple[str, ...], server: Valkey, layer: Layer
) -> None:
    """Two of three events get lost on their way; the third shows the hole."""
    first = await layer.publish(TOPIC, b"before", KEPT)
    program = await node(*arguments, "follow", TOPIC, "3")
    assert (await program.says())["following"]
    stream = f"{arguments[2]}:{{t.{TOPIC}}}"
    # As the publish script does it, but without the announcement.
    for number in (1, 2):
        server.ask("RPUSH", f"{stream}.history", b"%013d" % 9_999_999_999_999 + b"lost %d" % number)
        server.ask("HINCRBY", stream, "o", 1)
    await layer.publish(TOPIC, b"told", KEPT)
    told = [await program.says() for _ in range(3)]
    assert [event["data"] for event in told] == ["lost 1", "lost 2", "told"]
    assert [event["offset"] for event in told] == [2, 3, 4]
    assert {event["epoch"] for event in told} == {first.epoch}
    await program.ends()
