"""docs/reference/layer-wire.md, by a client that has nothing but that page and the Lua files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import seaway
from seaway.layers.redis.scripts import SCRIPTS
from tests.docs.pages import DOCS
from tests.layers.redis.support import namespace, processes
from tests.servers.valkey import Valkey

PAGE = (DOCS / "reference" / "layer-wire.md").read_text(encoding="utf-8")
LUA = Path(seaway.__file__).parent / "layers" / "redis" / "lua"
GROWING = {"publish", "enter", "claim", "send", "channels"}


def text(name: str) -> str:
    """A script, put together as the page says."""
    body = (LUA / f"{name}.lua").read_text()
    used = re.match(r"-- uses: (\w+)", body)
    parts = [
        "#!lua" if name in GROWING else "#!lua flags=allow-oom",
        (LUA / "common.lua").read_text(),
    ]
    if used is not None and used[1] != "common":
        parts.append((LUA / f"{used[1]}.lua").read_text())
    return "\n".join([*parts, body])


class Stranger:
    """Another language's client."""

    def __init__(self, server: Valkey, namespace: str) -> None:
        self._server = server
        self._ns = namespace

    def names(self, kind: str, subject: str) -> list[str]:
        """The keys of the page's table, from the table."""
        [line] = [row for row in PAGE.splitlines() if row.startswith(f"| {kind} |")]
        cells = re.findall(r"`([^`]+)`", line.split(" | ", 2)[2])
        base = cells[0].replace("NS", self._ns).replace("{t.T}", f"{{t.{subject}}}")
        base = base.replace("{c.C}", f"{{c.{subject}}}")
        return [base] + [
            base + cell if cell.startswith(".") else base + cell.rpartition("}")[2]
            for cell in cells[1:]
        ]

    def call(
        self, script: str, kind: str, subject: str, *arguments: str | int, again: bool = False
    ) -> Any:
        keys = self.names(kind, subject)
        last = "1" if again else "0"
        return self._server.ask("EVAL", text(script), len(keys), *keys, *arguments, last)


def test_the_page_tells_of_every_script_and_how_to_put_it_together() -> None:
    for name, script in SCRIPTS.items():
        assert f"| `{name}` |" in PAGE
        assert text(name).encode() == script.text
    assert set(re.findall(r"^\| `(\w+)` \| [A-Z]+ \|", PAGE, re.MULTILINE)) == set(SCRIPTS)


async def test_a_stranger_publishes_and_reads(valkey: Valkey) -> None:
    name = namespace()
    [here] = await processes(valkey.url, 1, name)
    stranger = Stranger(valkey, name)
    try:
        await here.layer.watch("halls/1")
        answer = stranger.call("publish", "STREAM", "halls/1", "hello", 10, 60000, "abc", "id-1")
        await here.heard.until_count(1, "halls/1")
        assert here.heard.data("halls/1") == [b"hello"]
        position = await here.layer.position("halls/1")
        assert answer == [position.epoch.encode(), position.offset, 0]
        read = stranger.call("read", "STREAM", "halls/1", position.epoch, 0, 10, 10_000, "abc")
        assert read == [position.epoch.encode(), 1, 0, [b"hello"]]
    finally:
        await here.layer.close()


async def test_a_stranger_publishes_several_events_in_one_call(valkey: Valkey) -> None:
    name = namespace()
    [here] = await processes(valkey.url, 1, name)
    stranger = Stranger(valkey, name)
    try:
        await here.layer.watch("halls/1")
        asked = ("publish", "STREAM", "halls/1", "a", 2, 60000, "abc", "id-1", "b", "c")
        epoch, first, _ = stranger.call(*asked)
        await here.heard.until_count(3, "halls/1")
        assert here.heard.data("halls/1") == [b"a", b"b", b"c"]
        assert first == 1
        kept = stranger.call("read", "STREAM", "halls/1", epoch.decode(), 1, 10, 10_000, "abc")
        assert kept == [epoch, 3, 0, [b"b", b"c"]]
        assert stranger.call(*asked, again=True) == [epoch, 1, 0]
        assert (await here.layer.position("halls/1")).offset == 3
    finally:
        await here.layer.close()


async def test_a_stranger_sends_receives_and_is_present(valkey: Valkey) -> None:
    name = namespace()
    [here] = await processes(valkey.url, 1, name)
    stranger = Stranger(valkey, name)
    try:
        sent = stranger.call(
            "send", "QUEUE", "work", "id-2", "to do", 100, 0, -1, "", "", 3600000, "0"
        )
        assert sent == [b"sent", b"id-2"]
        [delivery] = await here.layer.receive("work", wait=5)
        assert (delivery.id, delivery.data) == ("id-2", b"to do")
        assert await here.layer.nack(delivery)
        status, _, corrupt, id_, data, attempt, receipt = stranger.call(
            "receive", "QUEUE", "work", 1, 30000, 5, "id-3"
        )
        assert (status, corrupt, id_, data, attempt) == (b"open", 0, b"id-2", b"to do", 2)
        assert stranger.call("ack", "QUEUE", "work", "id-2", receipt.decode()) == 1
        stranger.call("enter", "PRESENCE", "halls/1", "process", "ann", "", "Ann is here")
        assert await here.layer.members("halls/1") == {"ann": b"Ann is here"}
    finally:
        await here.layer.close()
