"""A layer whose engine sees no data: the contract, changing keys, and what does not open."""

from __future__ import annotations

import pytest

from seaway.exceptions import ConfigurationError
from seaway.layers.base import Gap, Page, Position
from seaway.layers.cipher import Cipher, Unreadable
from seaway.layers.encryption import EncryptedLayer
from seaway.layers.engines import encrypted
from seaway.layers.memory.layer import MemoryLayer
from seaway.testing.layer_contract import KEPT, TOPIC, LayerContract, Process, started

OLD, NEW, OTHER = "o" * 32, "n" * 32, "x" * 32


class TestEncryptedContract(LayerContract):
    shared: MemoryLayer | None = None

    async def make_layers(self, count: int) -> list[Process]:
        return [await started(EncryptedLayer(self._memory(), [NEW, OLD])) for _ in range(count)]

    def _memory(self) -> MemoryLayer:
        first = self.shared
        layer = MemoryLayer() if first is None else sharing(first)
        self.shared = self.shared or layer
        return layer


def sharing(first: MemoryLayer) -> MemoryLayer:
    """Another process on the same memory."""
    return MemoryLayer(first._store, first._desk)


async def two(first: list[str], second: list[str]) -> tuple[Process, Process]:
    memory = MemoryLayer()
    here = await started(EncryptedLayer(memory, first))
    return here, await started(EncryptedLayer(sharing(memory), second))


async def test_the_engine_sees_no_data() -> None:
    memory = MemoryLayer()
    layer = EncryptedLayer(memory, [NEW])
    here = await started(layer)
    position = await layer.publish(TOPIC, b"seat 12", KEPT)
    raw = await memory.read(TOPIC, Position(position.epoch, 0))
    assert isinstance(raw, Page)
    assert b"seat" not in raw.publications[0].data
    await here.layer.close()


async def test_keys_are_changed_while_running() -> None:
    here, there = await two([OLD, NEW], [NEW, OLD])
    await there.layer.watch(TOPIC)
    await here.layer.watch(TOPIC)
    await here.layer.publish(TOPIC, b"by the old key")
    await there.layer.publish(TOPIC, b"by the new key")
    for process in (here, there):
        await process.heard.until_count(2)
        assert process.heard.data() == [b"by the old key", b"by the new key"]


async def test_what_does_not_open_is_a_gap_and_a_dead_letter(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here, there = await two([OLD], [OTHER])
    layer = there.layer
    await layer.watch(TOPIC)
    before = await layer.position(TOPIC)
    await here.layer.publish(TOPIC, b"x", KEPT)
    await here.layer.enter(TOPIC, "ann", b"A")
    assert there.heard.data() == []
    # Though nothing that opens may ever follow, it is known that there is something.
    assert there.heard.restorations == [(TOPIC, Position(before.epoch, before.offset + 1))]
    assert isinstance(await layer.read(TOPIC, before), Gap)
    assert await layer.members(TOPIC) == {}
    await here.layer.send("work", b"x")
    assert list(await layer.receive("work")) == []
    [letter] = await here.layer.dead_letters("work")
    assert (letter.data, letter.reason) == (b"x", "It cannot be decrypted.")
    assert isinstance(layer, EncryptedLayer)
    assert layer.unreadable >= 4
    assert sum("ENCRYPTION_KEYS" in record.message for record in caplog.records) == 1


def test_sealed_data_are_bound_to_their_name() -> None:
    cipher = Cipher([NEW])
    sealed = cipher.seal(b"x", "halls/1")
    assert cipher.open(sealed, "halls/1") == b"x"
    with pytest.raises(Unreadable, match="damaged, or moved"):
        cipher.open(sealed, "halls/2")
    with pytest.raises(Unreadable, match="damaged"):
        cipher.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "halls/1")
    with pytest.raises(Unreadable, match="not encrypted"):
        cipher.open(b"plain", "halls/1")


def test_nothing_is_sealed_twice_alike() -> None:
    one, other = Cipher([NEW]), Cipher([NEW])
    sealed = {cipher.seal(b"x", "t") for cipher in (one, other) for _ in range(100)}
    assert len({text[:25] for text in sealed}) == 200


@pytest.mark.parametrize("keys", [[], ["short"]])
def test_short_keys_are_refused(keys: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="at least 32 characters") as caught:
        encrypted(MemoryLayer(), keys)
    assert "short" not in str(caught.value)
